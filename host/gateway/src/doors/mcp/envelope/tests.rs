use super::*;

fn shape_of(text: &str) -> Shape {
    Frame::parse(text).unwrap_or_else(|error| panic!("{error}: {text}")).shape().clone()
}

fn code_of(bytes: impl Into<Vec<u8>>) -> i32 {
    Frame::parse(bytes).expect_err("refused").error.code()
}

#[test]
fn the_four_shapes_are_told_apart() {
    let id = |raw: &str| Id::Number(raw.into());
    assert_eq!(
        shape_of(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        Shape::Request { id: id("1"), method: "ping".into() }
    );
    assert_eq!(
        shape_of(r#"{"method":"notifications/initialized","jsonrpc":"2.0"}"#),
        Shape::Notification { method: "notifications/initialized".into() }
    );
    assert_eq!(
        shape_of(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#),
        Shape::Response { id: Some(Id::Text("a".into())), failed: false }
    );
    assert_eq!(
        shape_of(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":""}}"#),
        Shape::Response { id: None, failed: true }
    );
}

#[test]
fn ids_keep_every_digit_and_strings_compare_by_content() {
    let huge = "123456789012345678901234567890";
    let Shape::Request { id, .. } = shape_of(&format!(r#"{{"jsonrpc":"2.0","id":{huge},"method":"m"}}"#)) else {
        panic!("a request")
    };
    assert_eq!(id.to_string(), huge);
    let one = shape_of(r#"{"jsonrpc":"2.0","id":"\u0061\"","method":"m"}"#);
    let other = shape_of(r#"{"jsonrpc":"2.0","id":"a\"","method":"m"}"#);
    assert_eq!(one, other);
    assert_ne!(
        shape_of(r#"{"jsonrpc":"2.0","id":"1","method":"m"}"#),
        shape_of(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#)
    );
}

#[test]
fn what_parsers_read_differently_is_refused() {
    for (text, code) in [
        ("", PARSE_ERROR),
        ("{", PARSE_ERROR),
        ("nothing", PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m"} {}"#, PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m",}"#, PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":NaN,"method":"m"}"#, PARSE_ERROR),
        ("[]", INVALID_REQUEST),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"m"}]"#, INVALID_REQUEST),
        ("\"text\"", INVALID_REQUEST),
        ("1", INVALID_REQUEST),
        ("{}", INVALID_REQUEST),
        (r#"{"id":1,"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":null}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","\u006dethod":"n"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":{"b":1,"b":2}}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","Method":"n"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","ID":2}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","Params":{}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","JSONRPC":"2.0"}"#, INVALID_REQUEST),
        // The long s folds to s in some decoders, and the Turkish letters to i.
        ("{\"jsonrpc\":\"2.0\",\"\u{131}d\":2,\"id\":1,\"method\":\"m\"}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"\u{130}d\":2,\"id\":1,\"method\":\"m\"}", INVALID_REQUEST),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"param\u{17f}\":{}}", INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Arguments":{}}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"ProgressToken":1}}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a","URI":"b"}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"InputResponses":{}}}"#, INVALID_REQUEST),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"io.modelcontextprotocol/protocolversion":"x"}}}"#,
            INVALID_REQUEST,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"m","result":{}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"error":"text"}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","Message":"x"}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"Content":[]}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"IsError":true}}"#, INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","result":{}}"#, INVALID_REQUEST),
    ] {
        assert_eq!(code_of(text), code, "{text}");
    }
    assert_eq!(code_of(b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"m\"}".to_vec()), PARSE_ERROR);
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":{}{}}}}}"#, "[".repeat(100), "]".repeat(100));
    assert_eq!(code_of(deep), INVALID_REQUEST);
    assert_eq!(code_of(format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "x".repeat(2000))), INVALID_REQUEST);
}

#[test]
fn unknown_members_are_not_twins() {
    shape_of(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"Name2":1,"arguments2":{}},"x-vendor":{"Id":1}}"#);
    shape_of(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"Type":"text"}],"structuredContent":{"IsError":1}}}"#);
    shape_of(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"Name":"vendor"}}}"#);
}

#[test]
fn a_refusal_names_the_request_if_it_can() {
    let rejected = Frame::parse(r#"{"jsonrpc":"2.0","id":7,"method":"m","params":[]}"#).expect_err("refused");
    assert_eq!(rejected.id, Some(Id::Number("7".into())));
    let rejected = Frame::parse(r#"{"jsonrpc":"2.0","id":7,"result":1,"error":2}"#).expect_err("refused");
    assert_eq!(rejected.id, None, "an answer is not answered");
}

#[test]
fn tool_calls_are_read_strictly() {
    let parse = |params: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        let frame = Frame::parse(text).unwrap();
        frame.tool_call().map(|call| (call.name.to_owned(), call.arguments.map(|value| value.raw().to_owned())))
    };
    assert_eq!(parse(r#"{"name":"t"}"#), Ok(("t".to_owned(), None)));
    assert_eq!(
        parse(r#"{"name":"\u0074","arguments":{ "n": 1e400 }}"#),
        Ok(("t".to_owned(), Some("{ \"n\": 1e400 }".to_owned())))
    );
    for bad in [
        "{}",
        r#"{"name":7}"#,
        r#"{"name":""}"#,
        r#"{"name":"t","arguments":null}"#,
        r#"{"name":"t","arguments":[]}"#,
        r#"{"name":"t","arguments":"{}"}"#,
    ] {
        assert_eq!(parse(bad).map_err(|error| error.code()), Err(INVALID_PARAMS), "{bad}");
    }
}

#[test]
fn a_splice_changes_nothing_else() {
    let text = "{ \"jsonrpc\" : \"2.0\",\n\t\"id\":1.50,\"params\":{\"_meta\":{\"z\":1e400}, \"arguments\": {\"a\":\"\\u0041\"} ,\"name\":\"t\"},\"method\":\"tools/call\"}";
    let frame = Frame::parse(text).unwrap();
    let arguments = frame.tool_call().unwrap().arguments.unwrap();
    let spliced = frame.splice(arguments, "{}");
    assert_eq!(spliced, text.replace("{\"a\":\"\\u0041\"}", "{}"));
    assert_eq!(frame.splice(arguments, arguments.raw()), text);
}

#[test]
fn a_task_is_what_the_client_says_and_no_longer_than_a_task_may_be() {
    let call = |meta: &str| {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","_meta":{meta}}}}}"#);
        Frame::parse(text)
    };
    let task = |meta: &str| call(meta).unwrap_or_else(|_| panic!("{meta}")).task().map(str::to_owned);
    assert_eq!(task(r#"{"portcullis/task":"answer \u0041nna"}"#).as_deref(), Some("answer Anna"));
    assert_eq!((task("{}"), task(r#"{"portcullis/task":7}"#)), (None, None));
    let long = task(&format!(r#"{{"portcullis/task":"{}"}}"#, "\u{20ac}".repeat(10_000))).unwrap();
    assert!(long.len() <= MAX_TASK && long.len() > MAX_TASK - 3, "{}", long.len());
    assert!(call(r#"{"portcullis/task":"a","Portcullis/Task":"b"}"#).is_err(), "which of the two?");
}
