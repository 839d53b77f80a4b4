//! What an empty configuration means. The README shows the same as a table.

use plugin_effect::Effect;
use portcullis_plugin::Phase;

use crate::config::{Action, Extent, RuleConfig, every_phase, every_tool};
use crate::placeholder::Placeholder;

const CALL: &[Phase] = &[Phase::Call];
const RESULT: &[Phase] = &[Phase::Result];
const TEXTS: &[Phase] = &[Phase::Result, Phase::Message];
const LISTING: &[Phase] = &[Phase::Listing];
const INCOMING: &[Phase] = &[Phase::Result, Phase::Listing, Phase::Message];

/// Not counted in definitions of tools: what these say of tools, files and users is `detector-tools`' to judge, which knows how
/// honest ones are written.
const NOT_OF_TOOLS: &[&str] =
    &["injection.likely", "injection.tool", "injection.concealment", "injection.exfiltration"];
/// What a description says; names that look alike and hints that contradict a name are no text to take out.
const STEERING: &[&str] = &["tool.poisoned", "tool.concealment", "tool.shadowing", "tool.exfiltration"];

/// What a session does after a result that held orders.
const TAINTED: &[&str] = &["alignment.tainted_send", "alignment.foreign_value"];
const OUTWARD: &[Effect] = &[Effect::Send, Effect::Delete, Effect::Pay];
const ACTING: &[Effect] = &[Effect::Write, Effect::Send, Effect::Delete, Effect::Pay];
/// Code and message for tools that always want a person.
pub(crate) const SENSITIVE: (&str, &str) = ("sensitive_tool", "this tool always wants a person's approval");

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
        except_categories: Vec::new(),
        min_score,
        phases: phases.to_vec(),
        tools: every_tool(),
        except_tools: Vec::new(),
        effects: None,
        verdict,
        placeholder: Placeholder::Category,
        extent: Extent::Span,
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let acting = |config: RuleConfig, effects: &[Effect]| RuleConfig { effects: Some(effects.to_vec()), ..config };
    let surely = |config: RuleConfig| RuleConfig { except_categories: owned(&["injection.likely"]), ..config };
    let of_tools = |config: RuleConfig| RuleConfig { except_categories: owned(NOT_OF_TOOLS), ..config };
    let whole = |config: RuleConfig| RuleConfig { extent: Extent::Text, ..config };
    let destructive = &["command.destructive", "sql.destructive", "code.destructive"];
    let exfiltration = &["command.exfiltration", "http.exfiltration", "code.exfiltration"];
    let other = &["command.persistence", "command.obfuscated", "sql.injection", "code.*"];
    let packages = &["package.typosquat", "package.suspicious", "package.source"];
    let orders = "the text tries to give the model orders";
    let perhaps = "the text may try to give the model orders";
    let doubtful = "a text of the list that may try to steer the agent was taken out";
    let untrusted = "after a result that held orders, the call does what nobody asked for";
    let aside = "the call is not what the user asked for or the agent is for";
    vec![
        rule(destructive, 0.8, CALL, Deny, "destructive_command", "the call would destroy data"),
        rule(exfiltration, 0.8, CALL, Deny, "exfiltration", "the call would send data out"),
        rule(
            &["sequence.exfiltration"],
            0.9,
            CALL,
            Deny,
            "exfiltration",
            "the call would send out what was read before",
        ),
        rule(&["command.credentials"], 0.8, CALL, Deny, "credential_access", "the call would read stored credentials"),
        rule(&["http.metadata_service"], 0.6, CALL, Deny, "metadata_service", "the call reaches for cloud credentials"),
        rule(&["http.dangerous_scheme"], 0.8, CALL, Deny, "dangerous_scheme", "the address reaches past the network"),
        rule(
            &["package.known_bad"],
            0.5,
            CALL,
            Deny,
            "malicious_package",
            "the call would install a package known to harm",
        ),
        acting(rule(TAINTED, 0.8, CALL, Deny, "tainted_call", untrusted), OUTWARD),
        surely(rule(&["injection.*"], 0.8, TEXTS, Deny, "prompt_injection", orders)),
        of_tools(rule(&["injection.*"], 0.8, LISTING, Deny, "prompt_injection", orders)),
        rule(&["injection.likely"], 0.9, TEXTS, Deny, "prompt_injection", orders),
        rule(&["instruction.wrapped"], 0.8, RESULT, Deny, "prompt_injection", orders),
        rule(&["judge.injection"], 0.8, INCOMING, Deny, "prompt_injection", orders),
        rule(&["tool.*"], 0.8, LISTING, Deny, "poisoned_tool", "a tool of the list tries to steer the agent"),
        rule(destructive, 0.5, CALL, Review, "destructive_command", "the call may destroy data"),
        rule(exfiltration, 0.5, CALL, Review, "exfiltration", "the call may send data out"),
        rule(&["command.credentials"], 0.5, CALL, Review, "credential_access", "the call may read stored credentials"),
        rule(other, 0.7, CALL, Review, "suspicious_command", "the call holds a suspicious command"),
        rule(packages, 0.7, CALL, Review, "suspicious_package", "the call may install another package than is meant"),
        surely(rule(&["injection.*"], 0.5, TEXTS, Review, "prompt_injection", perhaps)),
        rule(&["injection.likely"], 0.8, TEXTS, Review, "prompt_injection", perhaps),
        rule(&["instruction.wrapped"], 0.75, RESULT, Review, "prompt_injection", perhaps),
        rule(&["instruction.*"], 0.9, RESULT, Review, "prompt_injection", perhaps),
        rule(&["judge.injection"], 0.5, INCOMING, Review, "prompt_injection", perhaps),
        surely(rule(&["injection.*"], 0.8, CALL, Review, "prompt_injection", "the arguments hold orders to a model")),
        acting(rule(&["alignment.*", "judge.misaligned"], 0.5, CALL, Review, "off_task", aside), ACTING),
        rule(&["sequence.*"], 0.6, CALL, Review, "suspicious_sequence", "the call is suspicious after those before it"),
        rule(&["effect.pay"], 0.7, CALL, Review, SENSITIVE.0, SENSITIVE.1),
        // A list cannot wait for a person: what is doubtful in it is taken out, and the rest can be used.
        whole(of_tools(rule(&["injection.*"], 0.5, LISTING, Redact, "prompt_injection", doubtful))),
        whole(rule(STEERING, 0.5, LISTING, Redact, "poisoned_tool", doubtful)),
        rule(&["secret.*"], 0.6, &everywhere, Redact, "secret", "a secret was taken out"),
    ]
}

fn owned(globs: &[&str]) -> Vec<String> {
    globs.iter().map(|&glob| glob.to_owned()).collect()
}
