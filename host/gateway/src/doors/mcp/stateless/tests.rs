use super::*;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fn checked(headers: &[(&'static str, &str)], body: &str) -> Result<(), i32> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let frame = Frame::parse(body).unwrap();
    assert!(applies(&map, Some(&frame)));
    check(&map, &frame).map_err(|mismatch| mismatch.code())
}

fn call(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments},{META}}}}}"#
    )
}

const GOOD: [(&str, &str); 3] = [("mcp-protocol-version", REVISION), ("mcp-method", "tools/call"), ("mcp-name", "t")];

#[test]
fn headers_must_repeat_the_body() {
    assert_eq!(checked(&GOOD, &call("{}")), Ok(()));
    for (changed, value) in [(0, "2025-11-25"), (1, "tools/list"), (1, "Tools/call"), (2, "T"), (2, "=?base64?dB==?=")]
    {
        let mut headers = GOOD;
        headers[changed].1 = value;
        assert_eq!(checked(&headers, &call("{}")), Err(HEADER_MISMATCH), "{headers:?}");
    }
    for missing in 0..3 {
        let headers: Vec<_> = GOOD.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, one)| *one).collect();
        assert_eq!(checked(&headers, &call("{}")), Err(HEADER_MISMATCH), "{headers:?}");
    }
    let twice = [GOOD.as_slice(), &[("mcp-method", "tools/call")]].concat();
    assert_eq!(checked(&twice, &call("{}")), Err(HEADER_MISMATCH));
    // What is no plain ASCII is written in base64, in one way only.
    let body = call("{}").replace(r#""name":"t""#, r#""name":"täg""#);
    let name = |value| [GOOD[0], GOOD[1], ("mcp-name", value)];
    assert_eq!(checked(&name("=?base64?dMOkZw==?="), &body), Ok(()));
    for odd in ["=?base64?dMOkZw?=", "=?base64?dMOkZx==?=", "=?base64?//8=?=", "t?g"] {
        assert_eq!(checked(&name(odd), &body), Err(HEADER_MISMATCH), "{odd}");
    }
}

#[test]
fn headers_carry_nothing_that_is_not_an_argument() {
    let arguments = r#"{"region":"eu","deep":{"limit":5,"list":[true]}}"#;
    for (value, expected) in [
        ("eu", Ok(())),
        ("5", Ok(())),
        ("true", Ok(())),
        ("=?base64?ZXU=?=", Ok(())),
        ("us", Err(HEADER_MISMATCH)),
        ("", Err(HEADER_MISMATCH)),
        ("region", Err(HEADER_MISMATCH)),
    ] {
        let headers = [GOOD.as_slice(), &[("mcp-param-region", value)]].concat();
        assert_eq!(checked(&headers, &call(arguments)), expected, "{value}");
    }
}

#[test]
fn headers_name_nothing_that_the_body_does_not() {
    let list = call("{}").replace("tools/call", "tools/list");
    let prompt = call("{}").replace("tools/call", "prompts/get").replace(r#""name":"t","#, "");
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"r"}}"#;
    let method = |name| ("mcp-method", name);
    for (body, headers, expected) in [
        (list.as_str(), [method("tools/list"), ("mcp-name", "secret")].as_slice(), Err(HEADER_MISMATCH)),
        // Another method may name what it is about: whatever it is, it stands in the body.
        (&list, &[method("tools/list"), ("mcp-name", "t")], Ok(())),
        // Nothing is named, but the headers are there: twice, or in no way to be read.
        (&prompt, &[method("prompts/get")], Ok(())),
        (&prompt, &[method("prompts/get"), ("mcp-name", "a"), ("mcp-name", "b")], Err(HEADER_MISMATCH)),
        (&prompt, &[method("prompts/get"), ("mcp-name", "=?base64?/w==?=")], Err(HEADER_MISMATCH)),
        (cancelled, &[("mcp-name", "secret")], Err(HEADER_MISMATCH)),
        (cancelled, &[("mcp-param-a", "secret")], Err(HEADER_MISMATCH)),
        (cancelled, &[method("notifications/cancelled")], Ok(())),
        (cancelled, &[("mcp-protocol-version", REVISION)], Err(HEADER_MISMATCH)),
    ] {
        let headers = [&GOOD[..1], headers].concat();
        assert_eq!(checked(&headers, body), expected, "{headers:?} {body}");
    }
    let stated = cancelled.replace("\"params\":{", &format!("\"params\":{{{META},"));
    assert_eq!(checked(&[("mcp-protocol-version", "2025-11-25")], &stated), Err(HEADER_MISMATCH));
    assert_eq!(checked(&[], &stated), Ok(()));
}

#[test]
fn headers_go_on_as_the_message_does() {
    let mut map = HeaderMap::new();
    for (name, value) in [("mcp-method", "tools/call"), ("mcp-name", "t"), ("mcp-param-a", "x"), ("x", "y")] {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let came = Frame::parse(call(r#"{"a":"x"}"#)).unwrap();
    let repeated = |goes: &str| {
        let mut upstream = HeaderMap::new();
        let same = repeat(&map, &came, goes.as_bytes(), &mut upstream);
        let mut names: Vec<String> =
            upstream.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        names.sort();
        (same, names.join(" "))
    };
    let all = "mcp-method=tools/call mcp-name=t mcp-param-a=x".to_owned();
    assert_eq!(repeated(came.raw()), (true, all.clone()));
    assert_eq!(repeated(&came.raw().replace(r#""a":"x""#, r#""a":"x","b":1"#)), (true, all));
    assert!(!repeated(&came.raw().replace(r#""a":"x""#, r#""a":"[redacted]""#)).0, "a header would keep it");
    let renamed = came.raw().replace(r#""name":"t""#, r#""name":"é""#);
    assert_eq!(repeated(&renamed), (true, "mcp-method=tools/call mcp-name==?base64?w6k=?=".to_owned()));
}

#[test]
fn the_body_must_say_revision_and_capabilities() {
    for (body, code) in [
        (call("{}").replace(META, r#""x":1"#), INVALID_PARAMS),
        (call("{}").replace(META, r#""_meta":{}"#), INVALID_PARAMS),
        (call("{}").replace("clientCapabilities\":{}", "clientCapabilities\":[]"), INVALID_PARAMS),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(), INVALID_REQUEST),
    ] {
        assert_eq!(checked(&GOOD, &body), Err(code), "{body}");
    }
    let later = call("{}").replace(REVISION, "2030-01-01");
    let mut headers = GOOD;
    headers[0].1 = "2030-01-01";
    assert_eq!(checked(&headers, &later), Err(UNSUPPORTED_VERSION));
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#;
    assert_eq!(checked(&GOOD[..1], notification), Ok(()));
    assert_eq!(checked(&GOOD, notification), Err(HEADER_MISMATCH));
}

#[test]
fn refusals_have_the_status_that_belongs_to_their_code() {
    for (code, expected) in [(-32602, 400), (-32020, 400), (-32022, 400), (-32601, 404), (-32603, 200), (-32010, 200)] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m"}}}}"#);
        assert_eq!(status(answer.as_bytes()), expected, "{code}");
    }
    assert_eq!(status(br#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#), 200);
}
