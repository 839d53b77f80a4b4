//! Built for version 1.1.0 of the contract: asks for one text by its pointer, which is the configuration, and marks all of it.
test_guests::world!("detector", "../../wit/plugin@1.1.0", b"1.1.0");

use bindings::portcullis::plugin::payload;

static POINTER: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

struct Plugin;

impl Guest for Plugin {
    fn configure(config: String) -> Result<(), String> {
        *POINTER.lock().unwrap() = config;
        Ok(())
    }

    fn inspect(_call: Call) -> Result<Vec<Finding>, String> {
        let found = payload::text_at(&POINTER.lock().unwrap());
        let finding = found.map(|found| {
            let end = u32::try_from(found.value.len()).unwrap_or(u32::MAX);
            let span = bindings::portcullis::plugin::types::Span { text: found.index, start: 0, end };
            Finding { category: "text.found".to_owned(), score: 1.0, message: found.value, spans: vec![span] }
        });
        Ok(finding.into_iter().collect())
    }
}

export!(Plugin);
