use super::*;

fn frame(text: &str) -> Frame {
    Frame::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(id: &str) -> Id {
    Id::Text(id.into())
}

#[test]
fn requests_get_a_number_and_keep_every_other_byte() {
    let asked = r#"{ "params":{"arguments":{"id":"x","n":1e400}, "_meta" : {"progressToken" : "tok", "id":1},"name":"t"},"id": "a\u0062", "jsonrpc":"2.0","method":"tools/call" }"#;
    let sent = r#"{ "params":{"arguments":{"id":"x","n":1e400}, "_meta" : {"progressToken" : 17, "id":1},"name":"t"},"id": 17, "jsonrpc":"2.0","method":"tools/call" }"#;
    assert_eq!(request(&frame(asked), 17), sent);
    let plain = r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#;
    assert_eq!(request(&frame(plain), 18), r#"{"jsonrpc":"2.0","id":18,"method":"tools/list"}"#);
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a","reason":"r"}}"#;
    assert_eq!(cancelled(&frame(cancel), 17), cancel.replace("\"a\"", "17"));
}

#[test]
fn answers_come_back_under_the_clients_own_id() {
    let came = r#"{"result":{"id":17,"_meta":{"io.modelcontextprotocol/subscriptionId":17}},"id":17,"jsonrpc":"2.0"}"#;
    let gets =
        r#"{"result":{"id":17,"_meta":{"io.modelcontextprotocol/subscriptionId":"l"}},"id":"l","jsonrpc":"2.0"}"#;
    assert_eq!(answer(&frame(came), 17, &text("l")), gets);
    let foreign = r#"{"jsonrpc":"2.0","id":17,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":18}}}"#;
    assert_eq!(answer(&frame(foreign), 17, &text("l")), foreign.replace("\"id\":17", "\"id\":\"l\""));
}

#[test]
fn notifications_are_about_a_number_or_everybody() {
    let progress = |token: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token}}}}}"#)
    };
    let of = |token: &str| about("notifications/progress", &frame(&progress(token)));
    assert_eq!(of("17"), About::Progress(17));
    for token in ["\"17\"", "17.0", "1e3", "-0", "null", "[17]", "9007199254740993"] {
        assert_eq!(of(token), About::Nothing, "{token}");
    }
    assert_eq!(super::progress(&frame(&progress("17")), &text("tok")), progress("\"tok\""));
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3}}}"#;
    let method = "notifications/tools/list_changed";
    assert_eq!(about(method, &frame(changed)), About::Subscription(3));
    assert_eq!(subscribed(&frame(changed), &text("l")), changed.replace(":3}", ":\"l\"}"));
    assert_eq!(about(method, &frame(r#"{"jsonrpc":"2.0","method":"m"}"#)), About::Everybody);
}

#[test]
fn numbers_are_found_in_what_cannot_be_read() {
    assert_eq!(numbers_in(b"{\"jsonrpc\" : \"2.0\", \"id\" : 17, \"result\":{\"x"), [17]);
    assert_eq!(numbers_in(b"{\"id\":17.5,\"id\":\"18\",\"id\":19}"), [19]);
    assert_eq!(numbers_in(b"{\"id\":17"), [0_u64; 0]);
    assert_eq!(numbers_in(&[0xff; 600]), [0_u64; 0]);
}
