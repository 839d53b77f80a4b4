//! Sends a request while it is configured.
test_guests::world!("detector");

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        use portcullis::plugin::{http, judge, secrets};
        match config.as_str() {
            r#""http""# => {
                let (method, url) = ("GET".to_owned(), "https://api.example.com/".to_owned());
                let request = http::Request { method, url, headers: Vec::new(), body: Vec::new() };
                http::send(&request).map(drop).map_err(|error| format!("{error:?}"))
            }
            r#""secrets""# => secrets::placeholder("api-key").map(drop),
            _ => {
                let question = judge::Question { template: "risk".to_owned(), variables: Vec::new() };
                judge::ask(&question).map(drop).map_err(|error| format!("{error:?}"))
            }
        }
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        Ok(Vec::new())
    }
}

export!(Plugin);
