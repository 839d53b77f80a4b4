use super::*;

fn frame(text: &str) -> Frame {
    Frame::parse(text.as_bytes()).unwrap()
}

#[test]
fn a_greeting_is_of_a_known_revision() {
    let answer = |version: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":{version},"capabilities":{{"tools":{{}},"resources":{{}}}}, "x":1e400}}}}"#
        )
    };
    let known = greeting(&frame(&answer("\"2025-06-18\""))).unwrap();
    assert_eq!((known.revision.as_str(), known.changed.len()), ("2025-06-18", 2));
    assert!(known.result.contains("1e400"), "as it was written");
    for version in ["\"2026-07-28\"", "\"2030-01-01\"", "5", "null"] {
        assert!(greeting(&frame(&answer(version))).is_none(), "{version}");
    }
    assert!(greeting(&frame(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#)).is_none());
    assert!(greeting(&frame(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#)).is_none());
}

#[test]
fn a_server_that_names_the_revision_speaks_it() {
    for (result, speaks) in [
        (r#""result":{"supportedVersions":["2025-11-25","2026-07-28"]}"#, true),
        (r#""result":{"supportedVersions":["2025-11-25"]}"#, false),
        (r#""result":{}"#, false),
        (r#""error":{"code":-32601,"message":"m"}"#, false),
    ] {
        assert_eq!(speaks_stateless(&frame(&format!(r#"{{"jsonrpc":"2.0","id":1,{result}}}"#))), speaks, "{result}");
    }
}

#[test]
fn what_one_session_has_not_taken_of_what_is_for_everybody_is_bounded_in_bytes() {
    let (messages, mut taken) = mpsc::channel(INBOX);
    let inbox = Inbox { messages, waiting: Arc::default() };
    let message = Bytes::from_static(&[b'x'; 60]);
    assert!(inbox.offer(&message, 100));
    assert!(!inbox.offer(&message, 100));
    drop(taken.try_recv().unwrap());
    assert!(inbox.offer(&message, 100));
}
