//! The published Python client against the published file server, with Portcullis between them: over HTTP and wrapped.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use test_suite::{Server, Setup, binary, root};

/// Built at run time, so that no scanner takes this file for a leak.
fn secret() -> String {
    format!("ghp_{}", "0123456789abcdefABCDEFGHIJKLMNOPQRST")
}

fn python() -> PathBuf {
    let path = root().join("target/tools/python/bin/python");
    assert!(path.exists(), "{} is missing; run `cargo xtask setup`", path.display());
    path
}

fn file_server() -> PathBuf {
    let path = root().join("target/tools/node/node_modules/.bin/mcp-server-filesystem");
    assert!(path.exists(), "{} is missing; run `cargo xtask setup`", path.display());
    path.canonicalize().unwrap()
}

/// A folder with an ordinary file and one that holds a secret.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("note.txt"), "The meeting is at noon.\n").unwrap();
    std::fs::write(folder.path().join("config.txt"), format!("user = svc\ngithub = {}\n", secret())).unwrap();
    folder
}

fn session(arguments: &[&str]) -> Value {
    let output =
        Command::new(python()).arg(root().join("tests/clients/filesystem.py")).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed:\n{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(seen: &Value, folder: &std::path::Path) {
    for (mode, seen) in seen.as_object().unwrap() {
        let text = |name: &str| seen[name]["text"].as_str().unwrap().to_owned();
        assert!(seen["tools"].as_array().unwrap().contains(&json!("read_text_file")), "{mode}: {seen}");
        assert_eq!(seen["ordinary"], json!({ "error": false, "text": "The meeting is at noon.\n" }), "{mode}");
        assert_eq!(seen["secret"]["error"], false, "{mode}: {seen}");
        assert!(
            text("secret").contains("[redacted:secret.") && text("secret").contains("user = svc"),
            "{mode}: {seen}"
        );
        assert!(!seen.to_string().contains(&secret()), "{mode}: the secret came through");
        assert_eq!(seen["destructive"]["error"], true, "{mode}: {seen}");
        assert!(text("destructive").contains("Portcullis"), "{mode}: {seen}");
        assert_eq!(seen["written"]["error"], false, "{mode}: {seen}");
    }
    assert!(!folder.join("clean.sh").exists(), "the denied call ran");
    assert_eq!(std::fs::read_to_string(folder.join("new.txt")).unwrap(), "plain words");
}

/// Every call is on record, with its outcome, and the log verifies.
fn check_ledger(lines: &str) {
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |kind: &str, key: &str, value: &str| {
        entries.iter().filter(|entry| entry["kind"] == kind && entry["phase"] == "call" && entry[key] == value).count()
    };
    let opened = entries.iter().filter(|entry| entry["tool"] == "initialize" && entry["phase"] == "message").count();
    assert!(opened >= 1, "what a server says of itself is judged too:\n{lines}");
    assert_eq!(count("decision", "decision", "deny"), 2, "one destructive call in each mode:\n{lines}");
    let allowed = count("decision", "decision", "allow");
    assert_eq!(allowed, 8, "four other calls in each mode:\n{lines}");
    assert_eq!(
        entries.iter().filter(|entry| entry["kind"] == "outcome" && entry["phase"] == "result").count(),
        allowed
    );
    assert!(!lines.contains("meeting") && !lines.contains(&secret()), "the log holds no content");
}

fn config() -> String {
    std::fs::read_to_string(root().join("tests/clients/portcullis.toml")).unwrap()
}

/// Token of the agent in that file.
const TOKEN: &str = "client-token";

fn upstream(folder: &std::path::Path) -> String {
    format!("files=stdio:{} {}", file_server().display(), folder.display())
}

fn ledger(data: &std::path::Path, arguments: &[&str]) -> String {
    let output =
        Command::new(binary().unwrap()).arg("ledger").args(arguments).arg("--data").arg(data).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "ledger {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn the_python_client_works_over_http() {
    let folder = folder();
    let arguments = vec!["--upstream".to_owned(), upstream(folder.path())];
    let server = Server::start(&Setup { arguments, config: Some(config()), ..Setup::default() }).unwrap();
    check(&session(&[&format!("{}/mcp", server.url), TOKEN, folder.path().to_str().unwrap()]), folder.path());
    check_ledger(&ledger(&server.data(), &["show", "--json", "--limit", "1000"]));
    assert!(ledger(&server.data(), &["verify"]).starts_with("good"));
    let errors = server.errors().unwrap();
    assert!(!errors.contains(&secret()), "the secret is in the logs");
}

#[test]
fn the_python_client_works_wrapped() {
    let folder = folder();
    let data = folder.path().join("portcullis-data");
    let files = tempfile::tempdir_in(folder.path()).unwrap();
    for name in ["note.txt", "config.txt"] {
        std::fs::copy(folder.path().join(name), files.path().join(name)).unwrap();
    }
    let (binary, server) = (binary().unwrap(), file_server());
    let config = root().join("tests/clients/portcullis.toml");
    let [binary, data_text, server, inside, config] =
        [binary.as_path(), &data, &server, files.path(), &config].map(|path| path.to_str().unwrap().to_owned());
    let wrap = ["stdio", &binary, "wrap", "--config", &config, "--data", &data_text, "--", &server, &inside];
    let seen = session(&[&wrap[..], &[&inside]].concat());
    check(&seen, files.path());
    check_ledger(&ledger(&data, &["show", "--json", "--limit", "1000"]));
    assert!(ledger(&data, &["verify"]).starts_with("good"));
}

#[test]
fn the_ledger_verifies_after_kill_9_in_the_middle_of_load() {
    let folder = folder();
    let arguments = vec!["--upstream".to_owned(), upstream(folder.path())];
    let server = Server::start(&Setup { arguments, config: Some(config()), ..Setup::default() }).unwrap();
    let stop = AtomicBool::new(false);
    let url = format!("{}/mcp", server.url);
    let acknowledged = std::thread::scope(|scope| {
        let loops: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let call = br#"{"tool":"read_text_file","arguments":{"path":"a"}}"#;
                        let headers = [("content-type", "application/json"), ("authorization", "Bearer client-token")];
                        let Ok(answer) = server.request("POST", "/v1/inspect", &headers, call) else { break };
                        let Ok(answer) = answer.json() else { break };
                        last = answer["entry"]["seq"].as_u64().unwrap().max(last);
                    }
                    last
                })
            })
            .collect();
        // A session over MCP in the same moment.
        let client = scope.spawn(|| {
            let script = root().join("tests/clients/filesystem.py");
            Command::new(python()).arg(script).args([&url, TOKEN, folder.path().to_str().unwrap()]).output()
        });
        std::thread::sleep(Duration::from_millis(1500));
        let killed = Command::new("kill").args(["-9", &server.pid().to_string()]).status().unwrap();
        assert!(killed.success());
        stop.store(true, Ordering::Relaxed);
        let _whatever_it_saw = client.join();
        loops.into_iter().map(|one| one.join().unwrap()).max().unwrap()
    });
    assert!(acknowledged > 10, "there was load: {acknowledged}");
    let data = server.kill().unwrap();
    let data = data.path().join("data");
    assert!(ledger(&data, &["verify"]).starts_with("good"));
    let head: Value = serde_json::from_str(&ledger(&data, &["head", "--json"])).unwrap();
    assert!(head["seq"].as_u64().unwrap() >= acknowledged, "acknowledged {acknowledged}, kept {head}");
}
