//! What an empty configuration means. The README shows the same as a table.

use portcullis_plugin::Phase;

use crate::config::{Action, RuleConfig, every_phase, every_tool};
use crate::placeholder::Placeholder;

const CALL: &[Phase] = &[Phase::Call];
const INCOMING: &[Phase] = &[Phase::Result, Phase::Listing, Phase::Message];

/// Tools that move money, change production or write to many people.
pub(crate) fn review_tools() -> Vec<String> {
    owned(&[
        "*wire*transfer*",
        "*transfer*funds*",
        "*send*money*",
        "*move*money*",
        "*move*funds*",
        "*payment*",
        "*payout*",
        "*refund*",
        "*purchase*",
        "*deploy*prod*",
        "*prod*deploy*",
        "*prod*write*",
        "*prod*delete*",
        "*delete*prod*",
        "*drop*database*",
        "*send*bulk*",
        "*bulk*mail*",
        "*mass*mail*",
        "*broadcast*",
    ])
}

/// Tools that only read, by the usual naming.
pub(crate) fn review_except() -> Vec<String> {
    owned(&["get_*", "list_*", "read_*", "search_*", "describe_*"])
}

/// The built-in rules, in the order in which their reasons are given.
pub(crate) fn rules() -> Vec<RuleConfig> {
    use Action::{Deny, Redact, Review};
    let everywhere = every_phase();
    let rule = |categories: &[&str], min_score, phases: &[Phase], verdict, code: &str, message: &str| RuleConfig {
        categories: owned(categories),
        min_score,
        phases: phases.to_vec(),
        tools: every_tool(),
        except_tools: Vec::new(),
        verdict,
        placeholder: Placeholder::Category,
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let destructive = &["command.destructive", "sql.destructive", "code.destructive"];
    let exfiltration = &["command.exfiltration", "http.exfiltration", "code.exfiltration"];
    let other = &["command.persistence", "command.obfuscated", "sql.injection", "code.*"];
    vec![
        rule(destructive, 0.8, CALL, Deny, "destructive_command", "the call would destroy data"),
        rule(exfiltration, 0.8, CALL, Deny, "exfiltration", "the call would send data out"),
        rule(&["command.credentials"], 0.8, CALL, Deny, "credential_access", "the call would read stored credentials"),
        rule(&["http.metadata_service"], 0.6, CALL, Deny, "metadata_service", "the call reaches for cloud credentials"),
        rule(&["http.dangerous_scheme"], 0.8, CALL, Deny, "dangerous_scheme", "the address reaches past the network"),
        rule(&["injection.*"], 0.8, INCOMING, Deny, "prompt_injection", "the text tries to give the model orders"),
        rule(destructive, 0.5, CALL, Review, "destructive_command", "the call may destroy data"),
        rule(exfiltration, 0.5, CALL, Review, "exfiltration", "the call may send data out"),
        rule(&["command.credentials"], 0.5, CALL, Review, "credential_access", "the call may read stored credentials"),
        rule(other, 0.7, CALL, Review, "suspicious_command", "the call holds a suspicious command"),
        rule(&["injection.*"], 0.5, INCOMING, Review, "prompt_injection", "the text may try to give the model orders"),
        rule(&["injection.*"], 0.8, CALL, Review, "prompt_injection", "the arguments hold orders to a model"),
        rule(&["secret.*"], 0.6, &everywhere, Redact, "secret", "a secret was taken out"),
    ]
}

fn owned(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|&glob| glob.to_owned()).collect()
}
