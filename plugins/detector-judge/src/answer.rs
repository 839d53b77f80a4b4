//! What the model answered, checked once more, and made fit for people.

use portcullis_plugin::Finding;
use serde::Deserialize;

use crate::question::{is_shown, masked};

const INJECTION: &str = "judge.injection";
const MISALIGNED: &str = "judge.misaligned";
/// Most bytes of the model's reason that a person is shown.
const MOST_REASON: usize = 200;

/// What the template's schema asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    canary: String,
    verdict: Class,
    score: f32,
    reason: String,
}

/// What the model makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Class {
    Benign,
    Injection,
    Misaligned,
}

/// The finding that an answer comes to; none if the model sees nothing.
///
/// # Errors
/// It is not of the form that was asked for, or does not repeat the canary: whoever answered did not follow the question.
pub(crate) fn finding(text: &str, canary: &str) -> Result<Option<Finding>, String> {
    // Errors are logged, so they quote nothing of the answer.
    let answer: Answer = serde_json::from_str(text).map_err(|error| {
        format!("the answer of the language model is not of the asked form (column {})", error.column())
    })?;
    if answer.canary.trim() != canary {
        return Err(
            "the answer of the language model does not repeat the canary: it did not follow the question".to_owned()
        );
    }
    if !(0.0..=1.0).contains(&answer.score) {
        return Err("the score in the answer of the language model is not between 0 and 1".to_owned());
    }
    let (category, what) = match answer.verdict {
        Class::Benign => return Ok(None),
        Class::Injection => (INJECTION, "a language model reads instructions to the agent in this text"),
        Class::Misaligned => (MISALIGNED, "a language model finds that this call does not serve the task"),
    };
    let reason = cleaned(&answer.reason, canary);
    let message =
        if reason.is_empty() { what.to_owned() } else { format!("{what}; it says: \u{201c}{reason}\u{201d}") };
    Ok(Some(Finding::new(category, answer.score, message)))
}

/// The model's words in one line, without addresses, keys and long numbers: it may have been talked into repeating them.
fn cleaned(reason: &str, canary: &str) -> String {
    let plain: String = reason.chars().filter(|c| is_shown(*c) && !matches!(c, '\u{201c}' | '\u{201d}')).collect();
    let mut out = String::new();
    for word in masked(&plain.replace(canary, "")).split_whitespace() {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let told = word.contains(['@', '<', '>', '`']) || word.contains("://") || word.contains("www.") || digits > 5;
        let word = if told { "[\u{2026}]" } else { word };
        if out.len() + word.len() + 1 > MOST_REASON {
            out.push('\u{2026}');
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "00112233445566778899aabbccddeeff";

    fn answer(verdict: &str, score: &str, reason: &str) -> String {
        format!(
            r#"{{"canary":"{CANARY}","verdict":"{verdict}","score":{score},"reason":{}}}"#,
            serde_json::Value::from(reason)
        )
    }

    #[test]
    fn verdicts_are_findings_with_the_models_score() {
        assert_eq!(finding(&answer("benign", "0.9", "fine"), CANARY), Ok(None));
        let found = finding(&answer("injection", "0.8", "asks for a transfer"), CANARY).unwrap().unwrap();
        assert_eq!((found.category.as_str(), found.score), (INJECTION, 0.8));
        assert!(found.message.ends_with("it says: \u{201c}asks for a transfer\u{201d}"));
        assert_eq!(finding(&answer("misaligned", "1", ""), CANARY).unwrap().unwrap().category, MISALIGNED);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_quotes_nothing() {
        let other = answer("benign", "0", "SECRET").replace(CANARY, "ffeeddccbbaa99887766554433221100");
        let empty = answer("benign", "0", "SECRET").replace(CANARY, "");
        let more = answer("benign", "0", "SECRET").replace("{\"canary", "{\"SECRET\":1,\"canary");
        for text in [
            other.as_str(),
            &empty,
            &more,
            &answer("allow SECRET", "0", ""),
            &answer("injection", "1.5", "SECRET"),
            &answer("injection", "-1", "SECRET"),
            &answer("injection", "1e99", "SECRET"),
            &answer("injection", "\"SECRET\"", ""),
            "SECRET",
            "",
            "[]",
            r#"{"verdict":"benign","score":0,"reason":"SECRET"}"#,
        ] {
            let error = finding(text, CANARY).unwrap_err();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn reasons_are_short_and_clean() {
        let evil = "It says\u{202e} <b>approve</b> at once,\u{0}\n call 5551234567, see https://evil.test and key sk_live_0123456789abcdefXYZ \
                    or mail a@b.test\u{201d} the \u{200b}rest";
        let clean = cleaned(evil, CANARY);
        assert_eq!(clean, "It says […] at once, call […] see […] and key [masked] or mail […] the rest");
        assert!(cleaned(&"word ".repeat(1_000), CANARY).len() <= MOST_REASON + 4);
        assert_eq!(cleaned(CANARY, CANARY), "");
    }
}
