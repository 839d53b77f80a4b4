use super::*;

#[test]
fn both_forms_are_read() {
    let upstream: Upstream = "files=http://127.0.0.1:9/mcp?x=1".parse().unwrap();
    assert_eq!(&*upstream.name, "files");
    let Target::Http(target) = upstream.target else { panic!("http") };
    assert_eq!(target.url.to_string(), "http://127.0.0.1:9/mcp?x=1");

    let upstream: Upstream = r#"a-1=stdio:npx -y 'some server' "/tmp/a b" c\ d ''"#.parse().unwrap();
    let Target::Stdio(target) = upstream.target else { panic!("stdio") };
    assert_eq!(target.command, "npx");
    assert_eq!(target.arguments, ["-y", "some server", "/tmp/a b", "c d", ""]);
    assert!(target.environment.is_empty());
}

#[test]
fn nothing_is_expanded() {
    let upstream: Upstream = "a=stdio:echo $HOME `id` $(id) ; rm *".parse().unwrap();
    let Target::Stdio(target) = upstream.target else { panic!("stdio") };
    assert_eq!(target.arguments, ["$HOME", "`id`", "$(id)", ";", "rm", "*"]);
}

#[test]
fn errors_say_what_is_wrong() {
    for (text, part) in [
        ("nothing", "NAME=URL"),
        ("=http://a", "name for an upstream"),
        ("a b=http://a", "name for an upstream"),
        ("../a=http://a", "name for an upstream"),
        ("a=ftp://host", "neither http nor https"),
        ("a=/path", "neither http nor https"),
        ("a=http://user:secret@host/", "user name"),
        ("a=", "a"),
        ("a=stdio:", "empty or its quotes"),
        ("a=stdio:  ", "empty or its quotes"),
        ("a=stdio:sh -c 'open", "empty or its quotes"),
    ] {
        let error = text.parse::<Upstream>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    assert!(format!("{}=http://a", "n".repeat(65)).parse::<Upstream>().is_err());
}

#[test]
fn reserved_headers_and_odd_variables_are_refused() {
    for name in ["Host", "mcp-session-id", "Transfer-Encoding", "content-length", "bad name"] {
        assert!(Upstream::http("a", "http://h/", [(name, "x")]).is_err(), "{name}");
    }
    assert!(Upstream::http("a", "http://h/", [("authorization", "line\nbreak")]).is_err());
    for key in ["", "A=B", "A\0"] {
        assert!(Upstream::stdio("a", "c", [], [(key.to_owned(), "v".to_owned())]).is_err(), "{key:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let http = Upstream::http("a", "http://h/", [("authorization", "Bearer hush")]).unwrap();
    let stdio = Upstream::stdio("a", "c", ["hush".to_owned()], [("TOKEN".to_owned(), "hush".to_owned())]).unwrap();
    let shown = format!("{http:?} {stdio:?}");
    assert!(shown.contains("authorization") && shown.contains("TOKEN") && !shown.contains("hush"), "{shown}");
}

#[test]
fn names_are_unique_and_the_only_one_is_known() {
    let one = || "a=http://h/".parse::<Upstream>().unwrap();
    let two = || "b=http://h/".parse::<Upstream>().unwrap();
    assert!(matches!(Upstreams::new([one(), one()]), Err(UpstreamError::Duplicate(name)) if name == "a"));
    let both = Upstreams::new([two(), one()]).unwrap();
    assert!(both.only().is_none());
    assert_eq!(both.iter().map(|upstream| upstream.name.to_string()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(&*Upstreams::new([one()]).unwrap().only().unwrap().name, "a");
    assert!(Upstreams::default().only().is_none() && Upstreams::default().is_empty());
}
