//! What an operator meets: starts that must not happen, a restore, traces, and a second verifier.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use test_suite::{Server, Setup, binary, root};

fn harmless() -> serde_json::Value {
    json!({ "tool": "read_file", "arguments": { "path": "a.txt" } })
}

/// A configuration file with one wrong thing, and what `check` says about it.
fn refused(setup: &str, files: &[(&str, &[u8])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    fs::write(folder.path().join("portcullis.toml"), setup).unwrap();
    let output = Command::new(binary().unwrap())
        .args(["check", "--config", "portcullis.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success(), "accepted: {setup}");
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn two_servers_do_not_share_a_data_folder() {
    let server = Server::start(&Setup::default()).unwrap();
    assert_eq!(server.inspect(&harmless()).unwrap()["verdict"], "allow");
    let output = Command::new(binary().unwrap())
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains("in use by"), "{errors}");
    // The first one did not notice.
    assert_eq!(server.inspect(&harmless()).unwrap()["verdict"], "allow");
    let (code, said, _) = server.portcullis(&["ledger", "verify", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(&data, "a file where the folder should be").unwrap();
    let error = Server::start_in(folder, &Setup::default()).unwrap_err().to_string();
    assert!(error.contains(&data.display().to_string()), "{error}");
}

#[test]
fn a_read_only_data_folder_serves_nothing() {
    let (folder, _) = Server::start(&Setup::default()).unwrap().terminate().unwrap();
    let data = folder.path().join("data");
    let mode = |bits| fs::set_permissions(&data, fs::Permissions::from_mode(bits)).unwrap();
    mode(0o500);
    // For root every folder can be written: there it must simply work.
    let may_write = fs::write(data.join("probe"), "").is_ok();
    let started = Server::start_in(folder, &Setup::default());
    mode(0o700);
    match started {
        Ok(server) => {
            assert!(may_write, "it serves from a folder that cannot be written");
            assert_eq!(server.inspect(&harmless()).unwrap()["verdict"], "allow");
        }
        Err(error) => assert!(!may_write && error.to_string().contains("data"), "{error}"),
    }
}

#[test]
fn a_full_disk_ends_verdicts_and_loses_nothing() {
    let (folder, _) = Server::start(&Setup::default()).unwrap().terminate().unwrap();
    // Plugins are compiled and kept by now; only the log grows.
    let largest = files(&folder.path().join("data")).into_iter().map(|(_, bytes)| bytes).max().unwrap();
    let full = Setup { largest_file: Some(largest + 64 * 1024), ..Setup::default() };
    let server = Server::start_in(folder, &full).unwrap();
    let ask = |server: &Server| {
        let json = [("content-type", "application/json")];
        server.request("POST", "/v1/inspect", &json, harmless().to_string().as_bytes()).unwrap()
    };
    let mut durable = Vec::new();
    let refused = (0..50_000).map(|_| ask(&server)).find(|answer| {
        if answer.status == 200 {
            durable.push(answer.json().unwrap()["entry"].clone());
        }
        answer.status != 200
    });
    let refused = refused.expect("the log reaches its limit");
    assert_eq!((refused.status, &refused.json().unwrap()["error"]["code"]), (503, &json!("ledger_unavailable")));
    assert!(!durable.is_empty());
    // It stays refused, it says so, and it still ends in order.
    assert_eq!(ask(&server).status, 503);
    assert_eq!(server.request("GET", "/readyz", &[], b"").unwrap().status, 503);
    let (folder, _) = server.terminate().unwrap();
    // With room again everything that was answered is there.
    let server = Server::start_in(folder, &Setup::default()).unwrap();
    let (code, said, errors) = server.portcullis(&["ledger", "verify", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{said}{errors}");
    for entry in [durable.first().unwrap(), durable.last().unwrap()] {
        let found = server.request("GET", &format!("/v1/ledger/entries/{}", entry["seq"]), &[], b"").unwrap();
        assert!(found.text().contains(entry["hash"].as_str().unwrap()), "{} is not {entry}", found.text());
    }
    assert_eq!(server.inspect(&harmless()).unwrap()["verdict"], "allow");
}

/// Every file below a folder and its length.
fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => found.extend(files(&entry.path())),
            metadata => found.push((entry.path(), metadata.len())),
        }
    }
    found
}

#[test]
fn a_lost_head_file_needs_an_operator_who_adopts_the_log() {
    let server = Server::start(&Setup::default()).unwrap();
    for _ in 0..3 {
        server.inspect(&harmless()).unwrap();
    }
    let (folder, _) = server.terminate().unwrap();
    let heads = folder.path().join("data/heads");
    let kept = fs::read(&heads).unwrap();
    fs::remove_file(&heads).unwrap();
    let path = folder.keep();
    let refused = Command::new(binary().unwrap())
        .args(["serve", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(path.join("data"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("--adopt"), "{errors}");
    // A damaged one too.
    fs::write(&heads, &kept[..kept.len() / 2]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::rename(path.join("data"), folder.path().join("data")).unwrap();
    fs::remove_dir_all(path).unwrap();
    let adopt = Setup { arguments: vec!["--adopt".to_owned()], ..Setup::default() };
    let server = Server::start_in(folder, &adopt).unwrap();
    assert_eq!(server.inspect(&harmless()).unwrap()["verdict"], "allow");
    let (code, said, _) = server.portcullis(&["ledger", "verify", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{said}");
    // Adopted once: the next start needs no flag.
    let (folder, _) = server.terminate().unwrap();
    Server::start_in(folder, &Setup::default()).unwrap();
}

#[test]
fn files_that_are_no_plugins_are_named_with_their_place() {
    let config = "[[tenant]]\nname = \"acme\"\ntrust = { unsigned = \"files\" }\n[[tenant.plugins]]\nname = \"mine\"\nplugin = \"mine.wasm\"\n";
    let whole = fs::read(root().join("target/plugins/rule-baseline.wasm")).unwrap();
    let half = &whole[..whole.len() / 2];
    let unsigned = b"\0asm\x0d\0\x01\0";
    for (content, expected) in [
        (&b"MZ this is a program of another kind"[..], "not WebAssembly"),
        (half, "damaged or cut off"),
        (&unsigned[..], "ABI stamp"),
        (&b""[..], "not WebAssembly"),
    ] {
        let said = refused(config, &[("mine.wasm", content)]);
        assert!(said.contains(expected) && said.contains("portcullis.toml:4"), "{expected}: {said}");
    }
    // A component of the right contract in the wrong place.
    let router = fs::read(root().join("target/plugins/router-default.wasm")).unwrap();
    let granted = format!("{config}grants = {{ clock = true }}\n");
    let said = refused(&granted, &[("mine.wasm", &router)]);
    assert!(said.contains("router") && said.contains("portcullis.toml:4"), "{said}");
    let said = refused(config, &[]);
    assert!(said.contains("mine.wasm") && said.contains("portcullis.toml:6"), "{said}");
}

#[test]
fn settings_that_cannot_work_are_named_with_their_line() {
    for (config, expected) in [
        ("listen = \"0.0.0.0:0\"\n", "listen"),
        ("[server]\nconnections = 0\n", "server.connections"),
        ("[server]\nread_timeout_seconds = 9223372036854775807\n", "server.read_timeout_seconds"),
        ("[server]\ndrain_seconds = 100000\n", "server.drain_seconds"),
        ("[server]\nconections = 5\n", "conections"),
        ("[registry]\ntimeout_seconds = 0\n", "portcullis.toml:2:1: registry.timeout_seconds"),
        ("[registry]\ncache_mib = 1\n", "portcullis.toml:2:1: registry.cache_mib"),
        ("[[registry.host]]\nhost = \"h\"\nuser = \"u\"\n", "registry.host[0]: a login needs"),
        ("[[registry.host]]\nhost = \"h\"\npassword_env = \"P\"\n", "registry.host[0]: a login needs"),
        ("[[registry.host]]\nhost = \"https://h/x\"\n", "portcullis.toml:2:1: registry.host[0].host"),
        (
            "[[registry.host]]\nhost = \"h\"\n[[registry.host]]\nhost = \"H\"\n",
            "portcullis.toml:4:1: registry.host[1].host",
        ),
        ("[[registry.host]]\nhost = \"h\"\nplain_http = true\nca = \"c\"\n", "registry.host[0].ca"),
        ("[[registry.host]]\nhost = \"h\"\nca = \"none.pem\"\n", "none.pem: cannot be read"),
        ("[[tenant]]\nname = \"a\"\n[tenant.trust]\nkeys = [\"none.pub\"]\n", "tenant[0].trust.keys[0]"),
        (
            "[[tenant]]\nname = \"a\"\n[[tenant.plugins]]\nname = \"x\"\nplugin = \"oci://h/x\"\n",
            "portcullis.toml:5:1: tenant[0].plugins[0].plugin",
        ),
        ("[[upstream]]\nname = \"a\"\nurl = \"ftp://h\"\n", "portcullis.toml:1:1: upstream[0]"),
        (
            "[[upstream]]\nname = \"a__b\"\ncommand = [\"x\"]\n[[upstream]]\nname = \"a\"\ncommand = [\"x\"]\n",
            "portcullis.toml:5:1: upstream[1].name",
        ),
        (
            "[[upstream]]\nname = \"a\"\ncommand = [\"x\"]\n[[federation]]\nname = \"f\"\nupstreams = [\"a\", \"b\"]\n",
            "portcullis.toml:6:1: federation[0].upstreams",
        ),
        (
            "[[upstream]]\nname = \"a\"\ncommand = [\"x\"]\n[[upstream]]\nname = \"a\"\ncommand = [\"x\"]\n",
            "portcullis.toml:5:1: upstream[1].name",
        ),
    ] {
        let said = refused(config, &[]);
        assert!(said.contains(expected) && said.contains("portcullis.toml:"), "{expected}: {said}");
    }
}

#[test]
fn what_would_be_noticed_with_the_first_call_only_is_noted_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portcullis.toml");
    let config = r#"
[[upstream]]
name = "files"
command = ["no-such-program"]
[[upstream]]
name = "shell"
command = ["sh"]
[[tenant]]
name = "acme"
tools = { allow = ["Files/*", "file/*"] }
[[tenant.agent]]
name = "a"
tools = { hide = ["sh/*"] }
"#;
    fs::write(&file, config).unwrap();
    let check = Command::new(binary().unwrap()).args(["check", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.success(), "{said}");
    let notes: Vec<&str> = said.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(
        notes,
        [
            "note: upstream[0].command: \"no-such-program\" is not there or not in PATH",
            "note: tenant[0].tools: \"file/*\" fits no tool of this file's upstreams: none is called \"file\"",
            "note: tenant[0].agent[0].tools: \"sh/*\" fits no tool of this file's upstreams: none is called \"sh\"",
        ]
    );
}

#[test]
fn whoever_is_not_known_is_told_which_option_says_who_asks() {
    let tenants = "[[tenant]]\nname = \"acme\"\n[[tenant.agent]]\nname = \"a\"\ntoken_sha256 = []\n";
    let server = Server::start(&Setup { config: Some(tenants.to_owned()), ..Setup::default() }).unwrap();
    let data = server.data().to_str().unwrap().to_owned();
    for (command, option) in [(["inspect", "--tool=t"].as_slice(), "--token"), (&["ledger", "show"], "--tenant")] {
        let (code, out, said) = server.portcullis(&[command, &["--data", &data]].concat()).unwrap();
        assert_eq!((code, out.as_str()), (1, ""), "{said}");
        assert!(said.contains("answered 401") && said.contains(option), "{said}");
    }
}

#[test]
fn a_router_of_its_own_goes_with_a_policy_and_is_checked() {
    for policy in ["policy = \"baseline\"\n", ""] {
        let router = |text: &str| format!("[[tenant]]\nname = \"default\"\n{policy}\n[tenant.router]\n{text}\n");
        let config = "name = \"router-default\"\nlimits = { deadline_ms = 10_000 }\nconfig = { approvers = [{ role = \
                      \"treasury\" }], quorum = 2, deadline_seconds = 60 }";
        let agent = "\n[[tenant.agent]]\nname = \"bot\"\ntoken_sha256 = \
                     [\"sha256:a336d9b1d8b8647875238537ca5087b0ea335afd2032936aecdffc3e4b13f720\"]\n";
        let text = router(config) + agent;
        let server = Server::start(&Setup { config: Some(text), warm: true, ..Setup::default() }).unwrap();
        let headers = [("content-type", "application/json"), ("authorization", "Bearer alpha-token")];
        let body = br#"{"tool":"wire_transfer","arguments":{"amount":5}}"#;
        let asked = server.request("POST", "/v1/inspect", &headers, body).unwrap().json().unwrap();
        assert_eq!(asked["reasons"][0]["code"], "sensitive_tool", "the pack's rules: {asked}");
        assert_eq!(asked["approval"]["required"], 2, "{asked}");
        drop(server);
        for (wrong, why) in [
            ("name = \"no-such-plugin\"", "no-such-plugin"),
            ("name = \"router-default\"\nconfig = { nonsense = 1 }", "nonsense"),
        ] {
            let said = refused(&router(wrong), &[]);
            assert!(said.contains(why) && said.contains("tenant[0].router"), "{why}: {said}");
        }
    }
}

#[test]
fn inspect_says_by_its_exit_code_what_became_of_a_review() {
    let server = Server::start(&Setup::default()).unwrap();
    let data = server.data().to_str().unwrap().to_owned();
    let ask = || server.portcullis(&["inspect", "--tool", "wire_transfer", "--data", &data]).unwrap();
    let (code, waits, _) = ask();
    assert_eq!((code, waits.contains(" pending until 20")), (3, true), "{waits}");
    let (_, listed, _) = server.portcullis(&["approvals", "list", "--data", &data]).unwrap();
    let id = listed.split_whitespace().next().unwrap();
    assert_eq!(server.portcullis(&["approvals", "approve", id, "--data", &data]).unwrap().0, 0);
    let (code, approved, _) = ask();
    assert_eq!((code, approved.contains(&format!("approval {id} approved"))), (0, true), "{approved}");
    assert_eq!(ask().0, 3, "an approval counts once");
}

#[test]
fn who_watches_sees_what_is_parked_and_what_becomes_of_it() {
    let server = Server::start(&Setup::default()).unwrap();
    let data = server.data().to_str().unwrap().to_owned();
    let pay = |amount: u32| {
        let asked = server.inspect(&json!({ "tool": "wire_transfer", "arguments": { "amount": amount } })).unwrap();
        asked["approval"]["id"].as_str().unwrap().to_owned()
    };
    let first = pay(1);
    let mut watch = Command::new(binary().unwrap());
    watch.args(["approvals", "watch", "--data", &data]).stdout(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    let (send, lines) = mpsc::channel();
    let stdout = BufReader::new(watch.stdout.take().unwrap());
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
    let next = || lines.recv_timeout(Duration::from_secs(20)).expect("a line");
    let expect = |line: String, id: &str, state: &str| assert!(line.starts_with(id) && line.contains(state), "{line}");
    expect(next(), &first, "pending");
    let second = pay(2);
    expect(next(), &second, "pending");
    assert_eq!(pay(1), first, "asked about again: nothing new");
    let command = |words: &[&str]| server.portcullis(&[&["approvals"], words, &["--data", &data]].concat()).unwrap();
    assert_eq!(command(&["approve", &first]).0, 0);
    expect(next(), &first, "approved");
    assert_eq!(command(&["deny", &second, "--comment", "no \u{1b}[2J"]).0, 0);
    expect(next(), &second, "denied");
    let (code, shown, _) = command(&["show", &second]);
    assert_eq!(code, 0);
    for part in [
        "tool      wire_transfer",
        "held      sensitive_tool:",
        "wants     1 of: role approver",
        "vote      deny by portcullis-cli",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    server.terminate().unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(1), "the server has ended");
}

#[test]
fn a_process_that_was_killed_does_not_stand_in_the_way() {
    let server = Server::start(&Setup::default()).unwrap();
    let left = fs::read_to_string(server.data().join("server.json")).unwrap();
    let running: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert_eq!(running["pid"], server.pid());
    let folder = server.kill().unwrap();
    let data = folder.path().join("data");
    assert!(data.join("server.json").exists(), "it was killed");
    // Whoever has the number of the process now. Not this test, which may have begun in the same hundredth of a second.
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let other = left.replace(&format!("\"pid\":{}", running["pid"]), &format!("\"pid\":{}", sleeper.id()));
    for stale in [left, other] {
        fs::write(data.join("server.json"), stale).unwrap();
        let verify = Command::new(binary().unwrap()).args(["ledger", "verify", "--data"]).arg(&data).output().unwrap();
        assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stderr));
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let again = Server::start_in(folder, &Setup::default()).unwrap();
    assert_eq!(again.inspect(&harmless()).unwrap()["verdict"], "allow");
}

#[test]
fn an_address_in_use_is_said_once() {
    let server = Server::start(&Setup::default()).unwrap();
    let address = server.url.strip_prefix("http://").unwrap();
    let (code, _, said) = server.portcullis(&["serve", "--listen", address, "--data", "other"]).unwrap();
    assert_eq!((code, said.matches("in use").count()), (1, 1), "{said}");
    assert!(said.contains(address), "{said}");
}

#[test]
fn a_reload_never_opens_a_server_that_has_tenants() {
    let tenants = "[[tenant]]\nname = \"acme\"\n[[tenant.agent]]\nname = \"a\"\ntoken_sha256 = []\n";
    let server = Server::start(&Setup { config: Some(tenants.to_owned()), ..Setup::default() }).unwrap();
    let status = || {
        let headers = [("content-type", "application/json")];
        server.request("POST", "/v1/inspect", &headers, harmless().to_string().as_bytes()).unwrap().status
    };
    assert_eq!(status(), 401);
    // What a copy over the file, or an editor, leaves for a moment.
    fs::write(server.folder().join("portcullis.toml"), "").unwrap();
    let hangup = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(hangup.success());
    for _ in 0..400 {
        if server.errors().unwrap().contains("nothing was changed") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = server.errors().unwrap();
    assert!(said.contains("nothing was changed") && said.contains("names no tenant any more"), "{said}");
    assert_eq!(status(), 401);
}

#[test]
fn who_is_let_in_finds_a_pipeline_while_tenants_come_and_go() {
    let (code, made, _) = Server::start(&Setup::default()).unwrap().portcullis(&["token"]).unwrap();
    assert_eq!(code, 0);
    let words: Vec<_> = made.split_whitespace().collect();
    let (token, hash) = (words[1], words[3]);
    let tenant = |name: &str, tokens: &str| {
        format!("[[tenant]]\nname = \"{name}\"\n[[tenant.agent]]\nname = \"a\"\ntoken_sha256 = [{tokens}]\n")
    };
    let without = tenant("stays", "");
    let with = format!("{without}{}", tenant("guest", &format!("\"{hash}\"")));
    let server = Server::start(&Setup { config: Some(without.clone()), ..Setup::default() }).unwrap();
    let bearer = format!("Bearer {token}");
    let ask = || {
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        server.request("POST", "/v1/inspect", &headers, harmless().to_string().as_bytes()).unwrap().status
    };
    let mut seen = Vec::new();
    for config in [&with, &without, &with, &without] {
        let before = ask();
        fs::write(server.folder().join("next.toml"), config).unwrap();
        fs::rename(server.folder().join("next.toml"), server.folder().join("portcullis.toml")).unwrap();
        assert!(Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap().success());
        let changed = (0..20_000).map(|_| ask()).find(|status| {
            seen.push(*status);
            *status != before
        });
        assert!(changed.is_some(), "the reload came: {}", server.errors().unwrap());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [200, 401], "let in with a verdict, or not let in");
}

/// Takes one request and hands over its path and body.
fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut path, mut length) = (String::new(), 0);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
                if path.is_empty() {
                    path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                continue;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if send.send((path, body)).is_err() {
                return;
            }
        }
    });
    (address, receive)
}

#[test]
fn traces_reach_a_collector_without_arguments() {
    let (address, received) = collector();
    let config = format!("[traces]\notlp = \"{address}\"\n");
    let server = Server::start(&Setup { config: Some(config), ..Setup::default() }).unwrap();
    let call = json!({ "tool": "read_file", "arguments": { "path": "whispered-argument" } });
    assert_eq!(server.inspect(&call).unwrap()["verdict"], "allow");
    // What was not sent yet is sent on the way out.
    server.terminate().unwrap();
    let mut all = Vec::new();
    while let Ok((path, body)) = received.recv_timeout(Duration::from_secs(2)) {
        assert_eq!(path, "/v1/traces");
        all.extend(body);
    }
    let text = String::from_utf8_lossy(&all);
    for expected in ["portcullis", "call", "judge", "commit", "read_file"] {
        assert!(text.contains(expected), "no `{expected}` in what the collector got ({} bytes)", all.len());
    }
    assert!(!text.contains("whispered-argument"), "an argument left in a trace");
}

#[test]
fn a_verifier_written_apart_agrees_on_the_vectors_and_on_a_live_export() {
    let python = root().join("target/tools/python/bin/python");
    assert!(python.exists(), "{} is missing; run `cargo xtask setup`", python.display());
    let script = root().join("tests/vectors/verify_ledger.py");
    let run = |arguments: &[&std::ffi::OsStr]| {
        let output = Command::new(&python).arg(&script).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = run(&["--vectors".as_ref(), root().join("tests/vectors/ledger").as_os_str()]);
    assert_eq!(code, Some(0), "{said}");

    let server = Server::start(&Setup::default()).unwrap();
    for number in 0..20 {
        let command = if number % 2 == 0 { "ls -la" } else { "rm -rf /" };
        server.inspect(&json!({ "tool": "shell", "arguments": { "command": command } })).unwrap();
    }
    let (code, export, errors) = server.portcullis(&["ledger", "export", "--data", "data"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    let file = server.folder().join("export.jsonl");
    fs::write(&file, &export).unwrap();
    let (code, said) = run(&[file.as_os_str()]);
    assert_eq!(code, Some(0), "{said}");
    // A changed letter and a missing line are told.
    let mut flipped = export.clone().into_bytes();
    let at = flipped.len() / 2;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let lines: Vec<&str> = export.lines().collect();
    let missing = [&lines[..lines.len() / 2], &lines[lines.len() / 2 + 1..]].concat().join("\n");
    for bad in [flipped, missing.into_bytes()] {
        fs::write(&file, bad).unwrap();
        assert_ne!(run(&[file.as_os_str()]).0, Some(0), "a changed export passes");
    }
}
