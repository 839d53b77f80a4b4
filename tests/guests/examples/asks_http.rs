//! Sends the request that the payload describes and tells what came of it.
test_guests::world!("detector");

use portcullis::plugin::{http, payload, secrets};

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        // `{"url": …, "method": …, "key": NAME OF A SECRET, "body": …}`, read without a parser: strings in document order.
        let text =
            |pointer: &str| payload::texts().into_iter().find(|text| text.pointer == pointer).map(|text| text.value);
        let mut headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        if let Some(name) = text("/key") {
            let placeholder = secrets::placeholder(&name)?;
            headers.push(("authorization".to_owned(), format!("Bearer {placeholder}")));
        }
        let request = http::Request {
            method: text("/method").unwrap_or_else(|| "GET".to_owned()),
            url: text("/url").ok_or("no url")?,
            headers,
            body: text("/body").unwrap_or_default().into_bytes(),
        };
        let seen = match http::send(&request) {
            Ok(answer) => {
                format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body))
            }
            Err(error) => format!("{error:?}"),
        };
        Ok(vec![test_guests::finding!("http.seen", 1.0, seen)])
    }
}

export!(Plugin);
