//! Denies for a reason whose code is none.
test_guests::world!("rule");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn decide(_call: Call, _findings: Vec<AttributedFinding>) -> Result<Verdict, String> {
        use portcullis::plugin::types::Reason;
        Ok(Verdict::Deny(vec![Reason { code: "Not A Code".to_owned(), message: String::new() }]))
    }
}

export!(Plugin);
