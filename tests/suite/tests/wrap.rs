//! `portcullis wrap`: what its user does with the other commands while the client runs.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use test_suite::{binary, compiled, root};

/// A client of a wrapped server.
struct Client {
    wrap: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Client {
    fn start(data: &Path, options: &[&str]) -> Self {
        compiled::bring(data).unwrap();
        let tool = data.join("tool.json");
        fs::write(&tool, json!({ "name": "wire_transfer", "inputSchema": { "type": "object" } }).to_string()).unwrap();
        let errors = fs::OpenOptions::new().create(true).append(true).open(data.join("stderr.txt")).unwrap();
        let mut wrap = Command::new(binary().unwrap());
        wrap.args(["wrap", "--data"]).arg(data).args(options).args(["--", "python3"]);
        wrap.arg(root().join("tests/suite/tests/changing_server.py")).arg(tool);
        let mut wrap = wrap.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let (send, lines) = mpsc::channel();
        let stdout = BufReader::new(wrap.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut client = Self { stdin: wrap.stdin.take(), wrap, lines };
        let about = json!({ "name": "t", "version": "1" });
        client.ask("initialize", &json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about }));
        compiled::keep(data).unwrap();
        client
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.send(method, params);
        self.answer()
    }

    fn send(&mut self, method: &str, params: &Value) {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        writeln!(self.stdin.as_mut().unwrap(), "{request}").unwrap();
    }

    fn answer(&mut self) -> Value {
        // The first start compiles the plugins.
        serde_json::from_str(&self.lines.recv_timeout(Duration::from_secs(120)).expect("an answer")).unwrap()
    }

    fn pay(&mut self) -> Value {
        self.send_payment();
        self.answer()
    }

    fn send_payment(&mut self) {
        self.send("tools/call", &json!({ "name": "wire_transfer", "arguments": { "amount": 5 } }));
    }

    fn end(mut self) {
        drop(self.stdin.take());
        assert!(self.wrap.wait().unwrap().success());
    }
}

fn portcullis(data: &Path, arguments: &[&str]) -> (i32, String) {
    let done = Command::new(binary().unwrap()).args(arguments).arg("--data").arg(data).output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_parked_call_is_approved_while_the_client_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let config = data.join("portcullis.toml");
    fs::write(&config, "[mcp]\nhold_seconds = 0\n").unwrap();
    let mut client = Client::start(data, &["--decide", "--config", config.to_str().unwrap()]);
    let parked = client.pay();
    assert_eq!(parked["error"]["code"], -32011, "{parked}");
    assert!(parked["error"]["message"].as_str().unwrap().contains("Wait for the decision"), "{parked}");
    let id = parked["error"]["data"]["approval"]["id"].as_str().unwrap();

    let (_, waiting) = portcullis(data, &["approvals", "list"]);
    assert!(waiting.starts_with(id) && waiting.contains("wire_transfer"), "{waiting}");
    assert_eq!(portcullis(data, &["approvals", "approve", id]).0, 0);
    assert_eq!(client.pay()["result"]["content"][0]["text"], "it ran");
    let (_, all) = portcullis(data, &["approvals", "list", "--all"]);
    assert!(all.contains("approved") && all.contains("; used 20"), "{all}");
    let (code, verified) = portcullis(data, &["ledger", "verify"]);
    assert_eq!((code, verified.starts_with("good")), (0, true), "{verified}");
    assert_eq!(client.pay()["error"]["code"], -32011, "an approval counts once");

    client.end();
    let (code, said) = portcullis(data, &["approvals", "list"]);
    assert!(code == 1 && said.contains("nothing runs on"), "{said}");
    assert_eq!(portcullis(data, &["ledger", "verify"]).0, 0, "the folder is free");
}

#[test]
fn a_wrapped_call_that_waits_for_its_decision_runs_when_it_is_approved() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut client = Client::start(data, &["--decide"]);
    client.send_payment();
    let id = loop {
        let listed = portcullis(data, &["approvals", "list"]).1;
        match listed.split_whitespace().next().filter(|id| id.len() == 36) {
            Some(id) => break id.to_owned(),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(client.lines.try_recv().is_err(), "it waits");
    assert_eq!(portcullis(data, &["approvals", "approve", &id]).0, 0);
    assert_eq!(client.answer()["result"]["content"][0]["text"], "it ran");
    assert!(portcullis(data, &["approvals", "list", "--all"]).1.contains("; used 20"));
    client.end();
}

#[test]
fn without_being_told_so_nobody_decides_beside_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut client = Client::start(data, &[]);
    let parked = client.pay();
    assert!(parked["error"]["message"].as_str().unwrap().contains("Nobody can approve it here"), "{parked}");
    let id = parked["error"]["data"]["approval"]["id"].as_str().unwrap();
    assert!(portcullis(data, &["approvals", "list"]).1.contains(id), "looking is free");
    let (code, said) = portcullis(data, &["approvals", "approve", id]);
    assert!(code == 1 && said.contains("--decide"), "{said}");

    // Not by the API, either, with all that lies in the folder.
    let running: Value = serde_json::from_slice(&fs::read(data.join("server.json")).unwrap()).unwrap();
    let secret = running["control"].as_str().unwrap();
    let decide = [("authorization", format!("Bearer {secret}.default")), ("x-portcullis-control", secret.to_owned())];
    let path = format!("/v1/approvals/{id}/decide");
    assert_eq!(status(&running, "POST", &path, &decide, r#"{"decision":"approve"}"#), "403");
    assert_eq!(client.pay()["error"]["code"], -32011);
    client.end();
}

#[test]
fn nobody_gets_in_without_the_secret_of_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let client = Client::start(data, &[]);
    let left = data.join("server.json");
    assert_eq!(fs::metadata(&left).unwrap().permissions().mode() & 0o777, 0o600);
    let running: Value = serde_json::from_slice(&fs::read(&left).unwrap()).unwrap();
    let token = ("authorization", format!("Bearer {}.default", running["control"].as_str().unwrap()));
    let wrong = ("x-portcullis-control", "pct_0".to_owned());
    for headers in [vec![], vec![token.clone()], vec![token, wrong]] {
        for path in ["/v1/approvals", "/healthz", "/mcp"] {
            assert_eq!(status(&running, "GET", path, &headers, ""), "403", "{path} {headers:?}");
        }
    }

    let second =
        Command::new(binary().unwrap()).args(["wrap", "--data"]).arg(data).args(["--", "true"]).output().unwrap();
    assert!(!second.status.success() && left.exists(), "the first one's file stays");
    client.end();
    assert!(!left.exists());
}

/// The status of one request.
fn status(running: &Value, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> String {
    let address = running["address"].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let length = body.len();
    write!(stream, "{request}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap_or_default().to_owned()
}
