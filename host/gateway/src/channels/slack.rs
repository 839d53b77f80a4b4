//! Slack: an incoming message with buttons, and the interaction that a pressed button comes back as.

use bytes::Bytes;
use hmac::Mac as _;
use hyper::Uri;
use hyper::header::HeaderMap;
use serde_json::{Value, json};

use super::chat::json_headers;
use super::telling::{Telling, fitting};
use super::{SendError, accepted};
use crate::outbound::Targets;
use crate::signature::hmac;

/// How old, or how far ahead, the timestamp of an interaction may be: less than this, as Slack asks for.
const FRESH_SECONDS: u64 = 300;
/// Most bytes of one text block.
const MAX_TEXT: usize = 2_900;

/// Sends the message. `button` is what the buttons carry, if there are any.
pub(super) async fn send(
    targets: &Targets,
    url: &Uri,
    telling: &Telling<'_>,
    button: Option<&str>,
) -> Result<(), SendError> {
    let body = message(telling, button).to_string();
    accepted(&targets.post(url, json_headers(), Bytes::from(body)).await?)
}

/// The message in Block Kit, with a plain text for notifications.
fn message(telling: &Telling<'_>, button: Option<&str>) -> Value {
    let facts = telling.facts().into_iter().map(|(name, value)| format!("*{name}:* `{}`", escaped(&value)));
    let text = fitting(std::iter::once(format!("*{}*", telling.title())).chain(facts), MAX_TEXT);
    let section = |text: String| json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } });
    let mut blocks = vec![section(text)];
    if let Some(value) = button.filter(|_| telling.is_open()) {
        let one = |action: &str, title: &str, style: &str| {
            json!({
                "type": "button", "action_id": action, "style": style, "value": value,
                "text": { "type": "plain_text", "text": title },
                "confirm": {
                    "title": { "type": "plain_text", "text": title },
                    "text": { "type": "plain_text", "text": "This decides the call that is shown above." },
                    "confirm": { "type": "plain_text", "text": title },
                    "deny": { "type": "plain_text", "text": "Cancel" },
                },
            })
        };
        let elements = [one("approve", "Approve", "primary"), one("deny", "Deny", "danger")];
        blocks.push(json!({ "type": "actions", "block_id": "portcullis", "elements": elements }));
    }
    json!({ "text": telling.title(), "blocks": blocks })
}

/// Text within backticks: Slack's three characters escaped, no backtick.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "'")
}

/// Whether a request is signed with this secret, now: version v0 of Slack's scheme, compared in constant time.
pub(super) fn is_signed(secret: &[u8], timestamp: &str, signature: &str, body: &[u8], now_ms: u64) -> bool {
    let fresh = timestamp.parse::<u64>().is_ok_and(|seconds| seconds.abs_diff(now_ms / 1000) < FRESH_SECONDS);
    let Some(signature) = signature.strip_prefix("v0=").and_then(from_hex) else { return false };
    fresh && hmac(secret, &[b"v0:", timestamp.as_bytes(), b":", body]).verify_slice(&signature).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A pressed button.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pressed {
    /// Slack's id of who pressed it.
    pub(super) user: String,
    /// Whether it was the one that approves.
    pub(super) approve: bool,
    /// What the button carries.
    pub(super) value: String,
    /// Where an answer is shown.
    pub(super) response_url: Option<String>,
}

/// The button of an interaction; none if it is something else.
pub(super) fn pressed(body: &[u8]) -> Option<Pressed> {
    let body = std::str::from_utf8(body).ok()?;
    let payload = form_value(body, "payload")?;
    let payload: Value = serde_json::from_str(&payload).ok()?;
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    if text("/type")? != "block_actions" || payload.pointer("/actions/1").is_some() {
        return None;
    }
    let approve = match text("/actions/0/action_id")?.as_str() {
        "approve" => true,
        "deny" => false,
        _ => return None,
    };
    let (user, value) = (text("/user/id")?, text("/actions/0/value")?);
    Some(Pressed { user, approve, value, response_url: text("/response_url") })
}

/// What Slack shows in the place of the message, or to who pressed the button alone.
pub(super) fn answer(text: &str, in_place: bool) -> Value {
    if in_place {
        return json!({ "replace_original": true, "text": escaped(text) });
    }
    json!({ "response_type": "ephemeral", "replace_original": false, "text": escaped(text) })
}

/// Shows an answer. Whether it arrives changes nothing.
pub(super) async fn show(targets: &Targets, url: &str, answer: &Value) {
    let Ok(url) = url.parse::<Uri>() else { return };
    let headers: HeaderMap = json_headers();
    if let Err(error) = targets.post(&url, headers, Bytes::from(answer.to_string())).await {
        tracing::debug!(%error, "an answer was not shown in Slack");
    }
}

/// The value of the only field of this name in `application/x-www-form-urlencoded`.
pub(super) fn form_value(body: &str, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(body.as_bytes()).filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    found.next().is_none().then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::hmac_hex;

    /// The example of Slack's own page about verifying requests.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const BODY: &[u8] =
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
        channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
        response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&\
        trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const TIME: u64 = 1_531_420_618;

    #[test]
    fn a_signature_of_slacks_own_example_fits() {
        assert!(is_signed(SECRET, "1531420618", SIGNATURE, BODY, TIME * 1000));
        assert!(is_signed(SECRET, "1531420618", SIGNATURE, BODY, (TIME + 299) * 1000));
    }

    #[test]
    fn a_signature_that_is_off_by_one_byte_or_five_minutes_old_does_not() {
        let signed =
            |signature: &str, time: &str, body: &[u8], now: u64| is_signed(SECRET, time, signature, body, now * 1000);
        for at in 3..SIGNATURE.len() {
            let mut off = SIGNATURE.as_bytes().to_vec();
            off[at] = if off[at] == b'0' { b'1' } else { b'0' };
            assert!(!signed(std::str::from_utf8(&off).unwrap(), "1531420618", BODY, TIME), "at {at}");
        }
        for now in [TIME + 300, TIME + 86_400, TIME - 300, 0] {
            assert!(!signed(SIGNATURE, "1531420618", BODY, now), "at {now}");
        }
        for (signature, time) in [
            ("", "1531420618"),
            ("v0=", "1531420618"),
            (SIGNATURE.trim_start_matches("v0="), "1531420618"),
            (&SIGNATURE.replace("v0", "v1"), "1531420618"),
            (&format!("{SIGNATURE}00"), "1531420618"),
            (SIGNATURE, ""),
            (SIGNATURE, "1531420619"),
            (SIGNATURE, " 1531420618"),
            (SIGNATURE, "-1"),
        ] {
            assert!(!signed(signature, time, BODY, TIME), "{signature} {time}");
        }
        assert!(!signed(SIGNATURE, "1531420618", &BODY[1..], TIME));
        assert!(!is_signed(b"another", "1531420618", SIGNATURE, BODY, TIME * 1000));
        let own = format!("v0={}", hmac_hex(b"another", &[b"v0:1531420618:", BODY]));
        assert!(is_signed(b"another", "1531420618", &own, BODY, TIME * 1000));
    }

    #[test]
    fn only_one_pressed_button_of_ours_is_read() {
        let body = |payload: &str| {
            let encoded: String = payload.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("payload={encoded}").into_bytes()
        };
        let good = r#"{"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":"approve","value":"v"}]}"#;
        let read = pressed(&body(good)).unwrap();
        assert_eq!((read.user.as_str(), read.approve, read.value.as_str()), ("U1", true, "v"));
        assert!(!pressed(&body(&good.replace("\"approve\"", "\"deny\""))).unwrap().approve);
        for bad in [
            good.replace("block_actions", "view_submission"),
            good.replace("\"approve\"", "\"other\""),
            good.replace("}]}", "},{\"action_id\":\"deny\",\"value\":\"v\"}]}"),
            good.replace("\"U1\"", "7"),
            "{".to_owned(),
            "[]".to_owned(),
        ] {
            assert_eq!(pressed(&body(&bad)), None, "{bad}");
        }
        for bad in [&b"payload=%7"[..], b"payload=%zz", b"payload=%+1", b"", b"payload={}&payload={}", b"\xff"] {
            assert_eq!(pressed(bad), None);
        }
    }
}
