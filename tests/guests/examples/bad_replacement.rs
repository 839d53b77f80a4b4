//! Replaces what is not there.
test_guests::world!("rule");

struct Plugin;

impl Guest for Plugin {
    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn decide(_call: Call, _findings: Vec<AttributedFinding>) -> Result<Verdict, String> {
        use portcullis::plugin::types::{Redaction, Replacement, Span};
        let replacement = Replacement { span: Span { text: 0, start: 0, end: 1_000_000 }, value: String::new() };
        Ok(Verdict::Redact(Redaction { reasons: Vec::new(), replacements: vec![replacement] }))
    }
}

export!(Plugin);
