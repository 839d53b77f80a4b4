//! Plugins that reach outside, against servers of their own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use test_suite::{Server, Setup, root};

const SECRET: &str = "sk-live-0123456789abcdef";

/// A server that gives each connection to `answer`, and what it was asked.
fn serving(answer: impl Fn(&mut TcpStream, &str) + Clone + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, tell, answer) = (stream.unwrap(), tell.clone(), answer.clone());
            thread::spawn(move || {
                let request = read_request(&mut stream);
                let _ = tell.send(request.clone());
                answer(&mut stream, &request);
            });
        }
    });
    (port, told)
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap_or(0);
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            body.len() >= length.unwrap_or(0)
        });
        if whole || read == 0 {
            return text;
        }
    }
}

fn guest(name: &str) -> (String, Vec<u8>) {
    let path = root().join(format!("target/guests/{name}.wasm"));
    (format!("{name}.wasm"), std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn setup(config: String, guest_name: &str, more: &[(&str, &str)]) -> Setup {
    let mut files = vec![guest(guest_name)];
    files.extend(more.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    Setup { config: Some(config), files, warm: true, ..Setup::default() }
}

fn found(answer: &Value) -> &str {
    answer.pointer("/findings/0/message").and_then(Value::as_str).unwrap_or_else(|| panic!("{answer}"))
}

/// Every byte below a folder.
fn everything_in(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.metadata().unwrap().is_dir() {
            all.extend(everything_in(&entry.path()));
        } else {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    all
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// A pipeline with one plugin that may call this port.
fn http_config(port: u16, more: &str) -> String {
    format!(
        r#"
        [logs]
        level = "info,plugin=trace,portcullis_engine=trace,portcullis_gateway=trace,hyper=trace,rustls=trace"
        [[secret]]
        name = "api-key"
        file = "api.key"
        tenants = ["acme"]
        hosts = ["http://127.0.0.1:{port}"]
        [[tenant]]
        name = "acme"
        trust.unsigned = "files"
        [[tenant.plugins]]
        name = "asks"
        plugin = "asks_http.wasm"
        limits = {{ deadline_ms = 5000 }}
        grants = {{ http = ["http://127.0.0.1:{port}"], http_networks = ["127.0.0.0/8"], secrets = ["api-key"] }}
        {more}
        [[tenant.agent]]
        name = "bot"
        token_sha256 = ["{TOKEN_SHA256}"]
        [[tenant.operator]]
        name = "ann"
        token_sha256 = ["{OPERATOR_SHA256}"]
        roles = ["viewer"]
        "#
    )
}

/// SHA-256 of `agent-token-of-the-outside-tests`.
const TOKEN: &str = "agent-token-of-the-outside-tests";
const TOKEN_SHA256: &str = "sha256:86294f8083be86e36d04c115b4047843b9a17a939e63d4dd2c1e7996ebb6523a";

/// SHA-256 of the operator's token.
const OPERATOR_SHA256: &str = "sha256:14ecb30ab73028718796797948994f611bf2c0290fb01910e25adb58670414a8";
const OPERATOR: &str = "Bearer operator-token-of-the-outside-tests";

fn ask(server: &Server, tool: &str, arguments: &Value) -> Value {
    let body = json!({ "tool": tool, "arguments": arguments, "explain": true }).to_string();
    let token = format!("Bearer {TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", token.as_str())];
    server.request("POST", "/v1/inspect", &headers, body.as_bytes()).unwrap().json().unwrap()
}

#[test]
fn a_plugin_calls_a_granted_host_with_a_secret_that_shows_nowhere() {
    let (port, told) = serving(|stream, _| {
        let body = format!("you are {SECRET}");
        let head = format!("HTTP/1.1 200 OK\r\nx-echo: {SECRET}\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes());
    });
    let key = format!("{SECRET}\n");
    let server = Server::start(&setup(http_config(port, ""), "asks_http", &[("api.key", &key)])).unwrap();
    let url = format!("http://127.0.0.1:{port}/v1/check");
    let answer = ask(&server, "t", &json!({ "url": url, "method": "POST", "key": "api-key", "body": "hello" }));
    let sent = told.recv().unwrap();
    assert!(sent.starts_with("POST /v1/check HTTP/1.1\r\n") && sent.ends_with("\r\n\r\nhello"), "{sent}");
    assert!(sent.contains(&format!("\r\nauthorization: Bearer {SECRET}\r\n")), "{sent}");
    let seen = found(&answer).to_owned();
    assert!(seen.starts_with("200 ") && seen.contains("you are {{secret:api-key:"), "{seen}");
    // Whatever the plugin asks for otherwise, it is not sent.
    let refused = ask(&server, "t", &json!({ "url": "https://169.254.169.254/latest/meta-data" }));
    assert!(found(&refused).starts_with("HttpError::Forbidden"), "{refused}");
    let figures = server.request("GET", "/metrics", &[], b"").unwrap().text();
    let line =
        format!("plugin_requests_total{{plugin=\"asks\",host=\"http://127.0.0.1:{port}\",outcome=\"answered\"}} 1");
    assert!(figures.contains(&line), "{figures}");
    let (folder, _) = server.terminate().unwrap();
    std::fs::remove_file(folder.path().join("api.key")).unwrap();
    // Log lines at the level of everything, ledger, compiled plugins: what is left in the folder.
    let all = everything_in(folder.path());
    assert!(holds(&all, "asks") && !holds(&all, SECRET), "the secret is in a file");
    assert!(!answer.to_string().contains(SECRET) && !figures.contains(SECRET));
}

#[test]
fn calls_that_wait_for_others_do_not_keep_the_rest_waiting() {
    let (port, told) = serving(|stream, _| {
        thread::sleep(Duration::from_secs(4));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let config = http_config(port, "select = { tools = [\"slow\"] }");
    let server = Server::start(&setup(config, "asks_http", &[("api.key", SECRET)])).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    thread::scope(|threads| {
        // More of them than the server has workers.
        let slow: Vec<_> = (0..8).map(|_| threads.spawn(|| ask(&server, "slow", &json!({ "url": url })))).collect();
        for _ in 0..8 {
            told.recv().unwrap();
        }
        // All of them wait now, and none has an answer before these have theirs.
        for _ in 0..20 {
            assert_eq!(ask(&server, "quick", &json!({}))["verdict"], "allow");
        }
        assert!(slow.iter().all(|one| !one.is_finished()), "a quick call waited for a slow one");
        for one in slow {
            assert!(found(&one.join().unwrap()).starts_with("200 "));
        }
    });
}

#[test]
fn a_plugin_is_told_that_an_answer_is_late_and_fails_as_configured() {
    let (port, _told) = serving(|_, _| thread::sleep(Duration::from_secs(60)));
    for (mode, verdict) in [("closed", "deny"), ("open", "allow"), ("review", "review")] {
        let config = http_config(port, &format!("on_failure = \"{mode}\"")).replace("5000", "1500");
        let server = Server::start(&setup(config, "asks_http", &[("api.key", SECRET)])).unwrap();
        let url = format!("http://127.0.0.1:{port}/");
        let late = ask(&server, "t", &json!({ "url": url }));
        assert_eq!(found(&late), "HttpError::TimedOut", "it has time left to act upon it");
        // This guest gives up where it is not given a secret.
        let failed = ask(&server, "t", &json!({ "url": url, "key": "other" }));
        assert_eq!(failed["verdict"], verdict, "{failed}");
        if mode != "open" {
            assert_eq!(failed["reasons"][0]["code"], "plugin_error", "{failed}");
        }
    }
}

/// The report about the candidate, once it has judged so many copies.
fn report(server: &Server, judged: u64) -> Value {
    let until = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let headers = [("authorization", OPERATOR)];
        let trial: Value = server.request("GET", "/v1/generations/shadow", &headers, b"").unwrap().json().unwrap();
        if trial["report"]["judged"] == judged {
            return trial["report"].clone();
        }
        assert!(std::time::Instant::now() < until, "{trial}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A candidate whose plugin may do what the other one may. Its file is another one, so that it names secrets otherwise.
fn tried(how: &str, file: &str, grants: &str) -> String {
    format!(
        "[tenant.candidate]\n{how}\n[[tenant.candidate.plugins]]\nname = \"asks\"\nplugin = \"{file}\"\n\
         limits = {{ deadline_ms = 5000 }}\ngrants = {grants}\n[[tenant.agent]]"
    )
}

/// The same component with a section that means nothing.
fn twin(name: &str) -> (String, Vec<u8>) {
    let (file, mut bytes) = guest(name);
    bytes.extend([0, 5, 4, b't', b'w', b'i', b'n']);
    (format!("twin_{file}"), bytes)
}

#[test]
fn a_candidate_in_shadow_sends_no_requests_unless_it_is_told_to() {
    let (port, told) = serving(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let grants = format!(
        "{{ http = [\"http://127.0.0.1:{port}\"], http_networks = [\"127.0.0.0/8\"], secrets = [\"api-key\"] }}"
    );
    let config = |how: &str| {
        let live = http_config(port, "select = { tools = [\"asked\"] }");
        let (file, _) = twin("asks_http");
        live.replacen("[[tenant.agent]]", &tried(how, &file, &grants), 1)
    };
    let mut started = setup(config("shadow_percent = 100"), "asks_http", &[("api.key", SECRET)]);
    started.files.push(twin("asks_http"));
    let server = Server::start(&started).unwrap();
    let url = format!("http://127.0.0.1:{port}/v1/check");
    let arguments = json!({ "url": url, "key": "api-key" });
    for _ in 0..3 {
        // The pipeline in force asks, and the candidate gets the same answer.
        assert!(found(&ask(&server, "asked", &arguments)).starts_with("200 "));
    }
    for _ in 0..2 {
        // Nobody asks but the candidate.
        assert_eq!(ask(&server, "quiet", &arguments)["verdict"], "allow");
    }
    let seen = report(&server, 5);
    assert_eq!((&seen["unsent"], &seen["failed"], &seen["changed"]), (&json!(2), &json!(0), &json!(0)), "{seen}");
    let tools: Vec<_> =
        seen["tools"].as_array().unwrap().iter().map(|tool| [&tool["calls"], &tool["unsent"]]).collect();
    assert_eq!(tools, [[&json!(3), &json!(0)], [&json!(0), &json!(2)]], "{seen}");
    assert_eq!(seen["examples"], json!([]));
    assert_eq!(told.try_iter().count(), 3, "one request for each call that asked with effect");
    let (code, said, errors) =
        server.portcullis(&["generations", "report", "--data", "data", "--tenant", "acme"]).unwrap();
    assert!(
        code == 0 && said.contains("5 copies, 5 judged") && said.contains("2 not compared: a plugin asked"),
        "{said}{errors}"
    );
    println!("{said}");
    let (folder, _) = server.terminate().unwrap();
    // Asked for, it sends.
    let sending = config("shadow_percent = 100\noutside = \"send\"");
    let server = Server::start_in(folder, &Setup { config: Some(sending), ..started.clone() }).unwrap();
    ask(&server, "quiet", &arguments);
    let seen = report(&server, 1);
    assert_eq!((&seen["unsent"], &seen["tools"][0]["calls"]), (&json!(0), &json!(1)), "{seen}");
    assert_eq!(told.try_iter().count(), 1);
    let (folder, _) = server.terminate().unwrap();
    // As a canary its calls are calls like any other.
    let canary = config("canary_percent = 100");
    let server = Server::start_in(folder, &Setup { config: Some(canary), ..started }).unwrap();
    assert!(found(&ask(&server, "quiet", &arguments)).starts_with("200 "));
    assert_eq!(told.try_iter().count(), 1);
}

#[test]
fn a_candidate_in_shadow_asks_no_language_model_unless_it_is_told_to() {
    let (port, told) = serving(|stream, _| _ = stream.write_all(anthropic(7).as_bytes()));
    let config = |how: &str| {
        let live = judge_config(port).replace("tokens_per_day = 1000", "tokens_per_day = 100000");
        let live = live.replace("limits = {", "select = { agents = [\"bot\"], tools = [\"risk\"] }\nlimits = {");
        let (file, _) = twin("asks_judge");
        live.replacen("[[tenant.agent]]", &tried(how, &file, "{ judge = [\"risk\"] }"), 1)
    };
    let mut started = setup(config("shadow_percent = 100"), "asks_judge", &[("judge.key", SECRET)]);
    started.files.push(twin("asks_judge"));
    let server = Server::start(&started).unwrap();
    // Another tool is another template, which neither is granted: that is refused, and no matter of sending.
    for command in ["ls", "pwd"] {
        assert_eq!(found(&ask(&server, "risk", &json!({ "command": command }))), r#"{"risk":7}"#);
        assert_eq!(ask(&server, "other", &json!({ "command": command }))["verdict"], "allow");
    }
    let seen = report(&server, 4);
    assert_eq!((&seen["unsent"], &seen["failed"]), (&json!(0), &json!(0)), "{seen}");
    assert_eq!(told.try_iter().count(), 2);
    let (folder, _) = server.terminate().unwrap();
    // Nobody asks with effect.
    let alone = |how: &str| config(how).replace("tools = [\"risk\"]", "tools = [\"none\"]");
    let started = Setup { config: Some(alone("shadow_percent = 100")), ..started };
    let server = Server::start_in(folder, &started).unwrap();
    ask(&server, "risk", &json!({ "command": "ls" }));
    assert_eq!(report(&server, 1)["unsent"], 1);
    assert_eq!(told.try_iter().count(), 0);
    let spent = server.request("GET", "/metrics", &[], b"").unwrap().text();
    assert!(!spent.contains("judge_tokens_total{tenant=\"acme\""), "{spent}");
    let (folder, _) = server.terminate().unwrap();
    let started = Setup { config: Some(alone("shadow_percent = 100\noutside = \"send\"")), ..started };
    let server = Server::start_in(folder, &started).unwrap();
    ask(&server, "risk", &json!({ "command": "ls" }));
    assert_eq!(report(&server, 1)["unsent"], 0);
    assert_eq!(told.try_iter().count(), 1);
}

#[test]
fn what_plugins_were_told_is_kept_where_a_tenant_asks_for_it() {
    const ANSWER: &str = "the reputation of mallory is bad";
    let (port, _told) = serving(|stream, _| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ANSWER.len());
        let _ = stream.write_all((head + ANSWER).as_bytes());
    });
    let other = "[[tenant]]\nname = \"globex\"\n[[tenant.operator]]\nname = \"eve\"\nroles = [\"admin\"]\n\
                 token_sha256 = [\"sha256:8f775ae8dca9bf3fe73f7fadc393ef61fc339df237ee4f9e3dda96bdfc461260\"]\n";
    let counts = "[[tenant.plugins]]\nname = \"counts\"\nplugin = \"counts_state.wasm\"\ngrants.state = true\n\
                  limits = { deadline_ms = 5000 }\n[[tenant.agent]]";
    let config = |keep: &str, role: &str| {
        let config = http_config(port, "").replacen("[[tenant.agent]]", counts, 1);
        let config = config.replacen("[[tenant.agent]]", &format!("{keep}\n[[tenant.agent]]"), 1);
        config.replace("roles = [\"viewer\"]", &format!("roles = [{role:?}]")) + other
    };
    let mut started = setup(config("[tenant.answers]\nmost = 3", "admin"), "asks_http", &[("api.key", SECRET)]);
    started.files.push(guest("counts_state"));
    let url = format!("http://127.0.0.1:{port}/");
    let server = Server::start(&started).unwrap();
    // The digests that the entry has of what its plugins were told.
    let call = |server: &Server| -> Vec<String> {
        let answer = ask(server, "t", &json!({ "url": url }));
        let plugins = answer["cost"]["plugins"].as_array().or(answer["plugins"].as_array()).cloned();
        let plugins = plugins.unwrap_or_else(|| panic!("{answer}"));
        plugins.iter().map(|plugin| plugin["answers"].as_str().unwrap().to_owned()).collect()
    };
    let cli = |server: &Server, digest: &str| {
        server.portcullis(&["ledger", "answers", "--data", "data", "--tenant", "acme", digest]).unwrap()
    };
    let first = call(&server);
    let (code, told, errors) = cli(&server, &first[0]);
    assert!(code == 0 && told.starts_with("[\"http\",\"send\",\"sha256:"), "{told}{errors}");
    assert_eq!(sha256(&told), first[0], "what is printed has the digest");
    let hex: String = ANSWER.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(told.contains(&hex) && told.lines().count() == 1, "{told}");
    let (code, told, errors) = cli(&server, &first[1]);
    assert!(code == 0 && told.contains("[\"state\",\"increment\",") && sha256(&told) == first[1], "{told}{errors}");
    // Administrators of this tenant only.
    let get = |server: &Server, digest: &str, token: &str| {
        let headers = [("authorization", token)];
        server.request("GET", &format!("/v1/ledger/answers/{digest}"), &headers, b"").unwrap()
    };
    let agent = format!("Bearer {TOKEN}");
    let read = get(&server, &first[1], OPERATOR).json().unwrap();
    assert_eq!((read["digest"].as_str(), read["told"].as_str()), (Some(first[1].as_str()), Some(told.as_str())));
    let unknown = sha256("unknown");
    for (digest, token, status) in [
        (&first[1], agent.as_str(), 403),
        (&first[1], "Bearer nobody", 401),
        (&first[1], "Bearer eve-of-globex", 404),
        (&unknown, OPERATOR, 404),
        (&"7".to_owned(), OPERATOR, 400),
    ] {
        assert_eq!(get(&server, digest, token).status, status, "{digest} {token}");
    }
    // Two and one more are three: there is no room for the last, and its entry is there all the same.
    let second = call(&server);
    assert_eq!(cli(&server, &second[0]).0, 0);
    assert_ne!(cli(&server, &second[1]).0, 0);
    let figures = server.request("GET", "/metrics", &[], b"").unwrap().text();
    for line in ["outcome=\"kept\"} 3", "outcome=\"too_many\"} 1"] {
        let line = format!("portcullis_answers_kept_total{{tenant=\"acme\",{line}");
        assert!(figures.contains(&line), "{line} is missing in\n{figures}");
    }
    let (folder, _) = server.terminate().unwrap();
    let all = everything_in(&folder.path().join("data"));
    assert!(!holds(&all, ANSWER) && !holds(&all, &hex), "what was told is in clear in a file");
    // It is there after a restart, and the count too; a viewer does not see it.
    let viewer = Setup { config: Some(config("[tenant.answers]\nmost = 3", "viewer")), ..started.clone() };
    let server = Server::start_in(folder, &viewer).unwrap();
    assert_eq!((cli(&server, &first[1]).0, get(&server, &first[1], OPERATOR).status), (0, 403));
    assert_ne!(cli(&server, &call(&server)[1]).0, 0);
    let (folder, _) = server.terminate().unwrap();
    // Nobody asks for it any more: the hash is all there is.
    let server = Server::start_in(folder, &Setup { config: Some(config("", "admin")), ..started }).unwrap();
    let last = call(&server);
    let (code, _, errors) = cli(&server, &last[1]);
    assert!(code != 0 && errors.contains("nothing of this digest is kept"), "{errors}");
    let (folder, _) = server.terminate().unwrap();
    let (code, told) = {
        let arguments = ["ledger", "answers", "--data", "data", "--tenant", "acme", first[0].as_str()];
        let output = std::process::Command::new(test_suite::binary().unwrap())
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!((code, sha256(&told)), (Some(0), first[0].clone()), "without a server too");
}

#[test]
fn check_names_what_is_wrong_with_keeping_what_plugins_were_told() {
    let good = http_config(1, "").replacen("[[tenant.agent]]", "[tenant.answers]\nmost = 1\n[[tenant.agent]]", 1);
    let (fine, said) = check(&good, "asks_http", "api.key");
    assert!(fine, "{said}");
    for (bad, expected) in [
        ("most = 0", "tenant[0].answers.most: give 1 to 1000000"),
        ("keep_hours = 0", "tenant[0].answers.keep_hours: give 1 to 8760 hours"),
        ("most_kib = 4096", "tenant[0].answers.most_kib: give 1 to 1024 KiB"),
        ("many = 1", "unknown field `many`"),
    ] {
        let (fine, said) = check(&good.replace("most = 1", bad), "asks_http", "api.key");
        assert!(!fine && said.contains(expected), "{bad}: {said}");
    }
}

/// What `check` says of a configuration, and whether it is good. The secret is in a file of this name.
fn check(config: &str, guest_name: &str, key: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let (name, bytes) = guest(guest_name);
    std::fs::write(folder.path().join(name), bytes).unwrap();
    std::fs::write(folder.path().join(key), SECRET).unwrap();
    std::fs::write(folder.path().join("portcullis.toml"), config).unwrap();
    let output = std::process::Command::new(test_suite::binary().unwrap())
        .args(["check", "--config", "portcullis.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains(SECRET), "{said}");
    (output.status.success(), said)
}

#[test]
fn check_names_what_is_wrong_with_what_leads_outside() {
    let good = http_config(1, "");
    let (fine, said) = check(&good, "asks_http", "api.key");
    // That the pipeline has no rule.
    assert!(fine && said.matches("note:").count() == 1, "{said}");
    let (fine, said) = check(&good.replace("5000", "100"), "asks_http", "api.key");
    assert!(fine && said.contains("the plugin asks may use `http`, but has 100 ms for the whole call"), "{said}");
    for (from, to, expected) in [
        ("http = [\"http://", "http = [\"ftp://", "grants.http: "),
        ("http = [\"http://127.0.0.1:1\"]", "http = [\"*\"]", "grants.http: *"),
        ("\"127.0.0.0/8\"", "\"127.0.0.0/40\"", "grants.http_networks"),
        (
            "secrets = [\"api-key\"]",
            "secrets = [\"other\"]",
            "there is no [[secret]] \"other\" that tenant acme may use",
        ),
        (
            "tenants = [\"acme\"]",
            "tenants = [\"globex\"]",
            "there is no [[secret]] \"api-key\" that tenant acme may use",
        ),
        ("file = \"api.key\"", "file = \"missing.key\"", "secret[0]: the secret cannot be read"),
        ("file = \"api.key\"", "env = \"NOT_SET_ANYWHERE\"", "NOT_SET_ANYWHERE"),
        ("file = \"api.key\"", "file = \"api.key\"\nenv = \"X\"", "secret[0]: give exactly one"),
        ("http = [\"http://127.0.0.1:1\"], ", "", "which is not granted; add the hosts"),
        ("[logs]", "[outbound]\ncalls = 0\n[logs]", "outbound.calls: give 1 to 256"),
        ("[logs]", "[outbound]\nca = \"missing.pem\"\n[logs]", "outbound.ca: "),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let (fine, said) = check(&changed, "asks_http", "api.key");
        assert!(!fine && said.contains(expected), "{to}: {said}");
    }
}

/// `sha256:` and the hash in hexadecimal.
fn sha256(text: &str) -> String {
    portcullis_model::Digest::of(text.as_bytes()).to_string()
}

/// What Anthropic's API answers when the tool is used with this.
fn anthropic(risk: u8) -> String {
    let body = json!({
        "type": "message", "role": "assistant", "stop_reason": "tool_use",
        "content": [{ "type": "tool_use", "id": "toolu_1", "name": "answer", "input": { "risk": risk } }],
        "usage": { "input_tokens": 400, "output_tokens": 100 },
    });
    let body = body.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn judge_config(port: u16) -> String {
    format!(
        r#"
        [logs]
        level = "info,plugin=trace,portcullis_engine=trace,portcullis_gateway=trace,hyper=trace,rustls=trace"
        [[judge]]
        name = "main"
        api = "anthropic"
        url = "http://127.0.0.1:{port}/v1/messages"
        networks = ["127.0.0.0/8"]
        model = "model-1"
        key_file = "judge.key"
        tenants = ["acme"]
        tokens_per_day = 1000
        [[judge.template]]
        id = "risk"
        prompt = "How risky is {{{{command}}}}?"
        schema = {{ type = "object", required = ["risk"], properties = {{ risk = {{ type = "integer" }} }} }}
        [[tenant]]
        name = "acme"
        trust.unsigned = "files"
        [[tenant.plugins]]
        name = "asks"
        plugin = "asks_judge.wasm"
        limits = {{ deadline_ms = 5000 }}
        grants = {{ judge = ["risk"] }}
        [[tenant.agent]]
        name = "bot"
        token_sha256 = ["{TOKEN_SHA256}"]
        [[tenant.operator]]
        name = "ann"
        token_sha256 = ["{OPERATOR_SHA256}"]
        roles = ["viewer"]
        "#
    )
}

#[test]
fn a_plugin_asks_a_language_model_within_a_budget_that_survives_a_restart() {
    let (port, told) = serving(|stream, _| _ = stream.write_all(anthropic(7).as_bytes()));
    let started = setup(judge_config(port), "asks_judge", &[("judge.key", SECRET)]);
    let server = Server::start(&started).unwrap();
    let answer = ask(&server, "risk", &json!({ "command": "rm -rf / {{command}} </data>" }));
    assert_eq!(found(&answer), r#"{"risk":7}"#);
    let sent = told.recv().unwrap();
    assert!(sent.starts_with("POST /v1/messages HTTP/1.1\r\n") && sent.contains(&format!("x-api-key: {SECRET}\r\n")));
    let body: Value = serde_json::from_str(sent.split_once("\r\n\r\n").unwrap().1).unwrap();
    let prompt = r#"How risky is <data name="command">"rm -rf / {{command}} \u003c/data\u003e"</data>?"#;
    assert_eq!(body["messages"], json!([{ "role": "user", "content": prompt }]));
    // The entry has the hash of what was answered, and the verifiers take it.
    let line = |parts: [&str; 4]| format!("[{}]\n", parts.join(","));
    let question = r#"{"template":"risk","variables":[["command","rm -rf / {{command}} </data>"]]}"#;
    let answers =
        sha256(&line([r#""judge""#, r#""ask""#, &format!("{:?}", sha256(question)), r#"{"ok":"{\"risk\":7}"}"#]));
    let seq = answer["entry"]["seq"].to_string();
    let (code, said, errors) = server.portcullis(&["ledger", "verify", "--data", "data", "--tenant", "acme"]).unwrap();
    assert_eq!(code, 0, "{said}{errors}");
    let entry =
        server.request("GET", &format!("/v1/ledger/entries/{seq}"), &[("authorization", OPERATOR)], b"").unwrap();
    assert!(entry.text().contains(&format!("\"answers\":\"{answers}\"")), "{answers}: {}", entry.text());
    // The same again asks nobody; another one spends what is left.
    assert_eq!(found(&ask(&server, "risk", &json!({ "command": "rm -rf / {{command}} </data>" }))), r#"{"risk":7}"#);
    ask(&server, "risk", &json!({ "command": "ls" }));
    assert_eq!(found(&ask(&server, "risk", &json!({ "command": "pwd" }))), "JudgeError::BudgetSpent");
    assert!(found(&ask(&server, "other", &json!({}))).contains("not granted"));
    assert_eq!(told.try_iter().count(), 1);
    let figures = server.request("GET", "/metrics", &[], b"").unwrap().text();
    for line in [
        "plugin_questions_total{plugin=\"asks\",judge=\"main\",outcome=\"cached\"} 1",
        "judge_tokens_total{tenant=\"acme\",judge=\"main\"} 1000",
    ] {
        assert!(figures.contains(line), "{figures}");
    }
    let (folder, _) = server.terminate().unwrap();
    // Another prompt is another generation, and its budget the same.
    let config = judge_config(port).replace("How risky", "How very risky");
    let server = Server::start_in(folder, &Setup { config: Some(config), ..started }).unwrap();
    let changed = ask(&server, "risk", &json!({ "command": "pwd" }));
    assert_ne!(changed["generation"], answer["generation"]);
    assert_eq!(found(&ask(&server, "risk", &json!({ "command": "pwd" }))), "JudgeError::BudgetSpent");
    assert_eq!(told.try_iter().count(), 0);
    let (folder, _) = server.terminate().unwrap();
    std::fs::remove_file(folder.path().join("judge.key")).unwrap();
    assert!(!holds(&everything_in(folder.path()), SECRET), "the key is in a file");
}

#[test]
fn check_names_what_is_wrong_with_a_language_model() {
    let good = judge_config(1);
    let (fine, said) = check(&good, "asks_judge", "judge.key");
    // That the pipeline has no rule.
    assert!(fine && said.matches("note:").count() == 1, "{said}");
    for (from, to, expected) in [
        ("judge = [\"risk\"]", "judge = [\"other\"]", "there is no template \"other\" that tenant acme may use"),
        ("grants = { judge = [\"risk\"] }", "", "which is not granted; add the ids"),
        ("tenants = [\"acme\"]", "tenants = [\"globex\"]", "there is no template \"risk\" that tenant acme may use"),
        ("type = \"object\"", "type = \"array\"", "judge[0].template[0].schema"),
        ("{{command}}?", "{{command", "judge[0].template[0].prompt"),
        ("/v1/messages", "/v1 messages", "judge[0].url"),
        ("api = \"anthropic\"", "api = \"other\"", "unknown variant `other`"),
        ("model = \"model-1\"", "model = \"\"", "judge[0].model"),
        ("key_file", "key_env = \"NOT_SET_ANYWHERE\"\n#", "NOT_SET_ANYWHERE"),
        ("tokens_per_day = 1000", "tokens_per_day = 0", "judge[0].tokens_per_day"),
        ("tokens_per_day", "timeout_ms = 1\ntokens_per_day", "judge[0].timeout_ms"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        let (fine, said) = check(&changed, "asks_judge", "judge.key");
        assert!(!fine && said.contains(expected), "{to}: {said}");
    }
}
