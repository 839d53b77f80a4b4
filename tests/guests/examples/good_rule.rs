//! Redacts what was found, and denies the tool of its configuration.
#![cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "natively nothing is exported"))]
use portcullis_plugin::{AttributedFinding, Call, Payload, Reason, Redaction, Replacement, Rule, Verdict};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    deny: String,
}

struct Redacts(Config);

impl Rule for Redacts {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        Ok(Self(config))
    }

    fn decide(&self, call: &Call, _payload: &dyn Payload, findings: &[AttributedFinding]) -> Result<Verdict, String> {
        let reason = |code: &str, message: &str| Reason { code: code.to_owned(), message: message.to_owned() };
        if call.tool == self.0.deny {
            return Ok(Verdict::Deny(vec![reason("tool_denied", "not this tool")]));
        }
        let mut redaction = Redaction { reasons: Vec::new(), replacements: Vec::new() };
        for AttributedFinding { plugin, finding } in findings {
            redaction.reasons.push(reason("found", &format!("{plugin} saw {}", finding.category)));
            let replace = |span: &_| Replacement { span: Clone::clone(span), value: "[gone]".to_owned() };
            redaction.replacements.extend(finding.spans.iter().map(replace));
        }
        Ok(if redaction.reasons.is_empty() { Verdict::Allow } else { Verdict::Redact(redaction) })
    }
}

portcullis_plugin::rule!(Redacts);
