//! Parked MCP calls against the built binary: decided while the client waits, and over a server that is killed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use test_suite::{Client, Mode, Place, Server, Setup, ledger, python, root, script};

/// A server with a bank behind it, which keeps a book of what it did.
struct Bank {
    server: Server,
    book: PathBuf,
    _own: TempDir,
}

/// `tenants` are those of a configuration, or none: then nobody needs a credential.
fn setup(tenants: &str, command: &[String], hold_seconds: u32) -> Setup {
    let config = format!(
        "[mcp]\nhold_seconds = {hold_seconds}\n{tenants}\n[[upstream]]\nname = \"bank\"\ncommand = {command:?}\n"
    );
    Setup { config: Some(config), warm: true, ..Setup::default() }
}

fn bank(book: &Path) -> Vec<String> {
    let script = root().join("tests/suite/tests/bank_server.py");
    ["python3".into(), script.display().to_string(), book.display().to_string()].into()
}

impl Bank {
    fn open(hold_seconds: u32) -> Self {
        let own = tempfile::tempdir().unwrap();
        let book = own.path().join("book");
        let server = Server::start(&setup("", &bank(&book), hold_seconds)).unwrap();
        Self { server, book, _own: own }
    }

    /// SIGKILL, and another start on the same folder.
    fn killed(self, hold_seconds: u32) -> Self {
        let Self { server, book, _own } = self;
        let folder = server.kill().unwrap();
        let server = Server::start_in(folder, &setup("", &bank(&book), hold_seconds)).unwrap();
        Self { server, book, _own }
    }

    /// How often the tool ran.
    fn ran(&self) -> usize {
        std::fs::read_to_string(&self.book).unwrap_or_default().lines().count()
    }

    fn client(&self) -> Agent {
        Agent::new(&self.server.url)
    }

    fn approvals(&self, words: &[&str]) -> String {
        approvals(&self.server, words)
    }

    /// The approval that waits.
    fn waiting(&self) -> String {
        waiting(&self.server)
    }
}

fn approvals(server: &Server, words: &[&str]) -> String {
    let data = server.data().to_str().unwrap().to_owned();
    let (code, out, said) = server.portcullis(&[&["approvals"], words, &["--data", &data]].concat()).unwrap();
    assert_eq!(code, 0, "{out}{said}");
    out
}

fn waiting(server: &Server) -> String {
    until("a call waits", || {
        let listed = approvals(server, &["list"]);
        listed.split_whitespace().next().filter(|id| id.len() == 36).map(str::to_owned)
    })
}

fn until<T>(what: &str, mut holds: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = holds() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A client of the bank, in a session. Its requests may be sent from other threads.
#[derive(Clone)]
struct Agent {
    url: String,
    session: String,
}

impl Agent {
    fn new(url: &str) -> Self {
        let mut own = Self { url: format!("{url}/mcp/bank"), session: String::new() };
        let about = json!({ "name": "t", "version": "1" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about });
        let (session, _) =
            own.post(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params })).unwrap();
        own.session = session.unwrap();
        own
    }

    /// The session id and the answer: the message itself, or the last one of a stream.
    fn post(&self, message: &Value) -> Result<(Option<String>, Value), ureq::Error> {
        let mut request = ureq::post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if !self.session.is_empty() {
            request = request.header("mcp-session-id", &self.session);
        }
        let mut answer = request.send(message.to_string())?;
        let session = answer.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let body = answer.body_mut().read_to_string()?;
        let last = body.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&body);
        Ok((session, serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {body}"))))
    }

    fn pay(&self, arguments: &Value) -> Result<Value, ureq::Error> {
        let params = json!({ "name": "wire_transfer", "arguments": arguments });
        let (_, answer) = self.post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))?;
        Ok(answer)
    }
}

fn entries(data: &Path) -> Vec<Value> {
    assert!(ledger(data, &["verify"]).unwrap().starts_with("good"));
    let lines = ledger(data, &["show", "--json", "--limit", "1000"]).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_call_that_is_approved_on_the_command_line_while_its_client_waits_runs_once() {
    let bank = Bank::open(30);
    let agent = bank.client();
    let paying = std::thread::spawn(move || agent.pay(&json!({ "amount": 5 })));
    let id = bank.waiting();
    assert_eq!(bank.ran(), 0);
    bank.approvals(&["approve", &id]);
    assert_eq!(paying.join().unwrap().unwrap()["result"]["content"][0]["text"], "it ran");
    assert_eq!(bank.ran(), 1);
    assert!(bank.approvals(&["list", "--all"]).contains("; used 20"));
}

#[test]
fn a_server_that_is_killed_between_decision_and_release_releases_the_call_once() {
    let bank = Bank::open(0);
    let pay = json!({ "amount": 5 });
    assert_eq!(bank.client().pay(&pay).unwrap()["error"]["code"], -32011);
    let id = bank.waiting();
    bank.approvals(&["approve", &id]);
    let bank = bank.killed(0);
    assert_eq!(bank.ran(), 0);
    let agent = bank.client();
    assert_eq!(agent.pay(&pay).unwrap()["result"]["content"][0]["text"], "it ran");
    assert_eq!(agent.pay(&pay).unwrap()["error"]["code"], -32011, "an approval counts once");
    assert_eq!(bank.ran(), 1);
    let (folder, _) = bank.server.terminate().unwrap();
    let entries = entries(&folder.path().join("data"));
    let outcomes: Vec<_> = entries.iter().filter_map(|entry| entry["outcome"].as_str()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "answered").count(), 1, "{outcomes:?}");
    assert!(!outcomes.contains(&"uncertain"), "{outcomes:?}");
}

#[test]
fn a_server_that_is_killed_between_release_and_outcome_never_tries_again_and_says_so() {
    let bank = Bank::open(30);
    let pay = json!({ "amount": 5, "slow": true });
    let (agent, slow) = (bank.client(), pay.clone());
    let paying = std::thread::spawn(move || agent.pay(&slow).is_err());
    let id = bank.waiting();
    bank.approvals(&["approve", &id]);
    until("it runs", || (bank.ran() == 1).then_some(()));
    let bank = bank.killed(0);
    assert!(paying.join().unwrap(), "its client lost the answer");
    let parked = bank.client().pay(&pay).unwrap();
    assert_eq!(parked["error"]["code"], -32011, "{parked}");
    assert_ne!(parked["error"]["data"]["approval"]["id"], id, "another decision is needed");
    assert_eq!(bank.ran(), 1);
    // A start that finds nothing left says nothing more.
    let bank = bank.killed(0);
    let (folder, _) = bank.server.terminate().unwrap();
    let entries = entries(&folder.path().join("data"));
    let of = |entry: &&Value| entry["approval"] == id.as_str() && entry["kind"] == "outcome";
    let outcomes: Vec<&Value> = entries.iter().filter(of).collect();
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    assert_eq!((&outcomes[0]["outcome"], &outcomes[0]["tool"]), (&json!("uncertain"), &json!("wire_transfer")));
    let released = |entry: &&Value| entry["approval"] == id.as_str() && entry["note"] == "released by its approval";
    assert_eq!(entries.iter().filter(released).count(), 1);
}

#[test]
fn published_clients_wait_for_the_decision_and_get_the_result() {
    let own = tempfile::tempdir().unwrap();
    let book = own.path().join("book");
    let tenants = std::fs::read_to_string(script("portcullis.toml")).unwrap();
    let both_eras = [python().unwrap(), script("bank.py"), book.clone()];
    let command: Vec<String> = both_eras.iter().map(|word| word.display().to_string()).collect();
    let server = Server::start(&setup(&tenants, &command, 40)).unwrap();
    let steps = json!({ "pay": ["call", "wire_transfer", { "amount": 5 }] });
    let waits = [
        (Client::Python, Mode::Legacy),
        (Client::Python, Mode::Modern),
        (Client::FirstTypeScript, Mode::Legacy),
        (Client::SecondTypeScript, Mode::Modern),
    ];
    for (done, (client, mode)) in waits.into_iter().enumerate() {
        let place = Place::Http(format!("{}/mcp/bank", server.url), "client-token".to_owned());
        let steps = steps.clone();
        let session = std::thread::spawn(move || client.session(&place, mode, &steps));
        let id = waiting(&server);
        approvals(&server, &["approve", &id]);
        let seen = session.join().unwrap().unwrap();
        assert_eq!(seen["steps"]["pay"]["text"], "it ran", "{client:?} {mode:?}: {seen}");
        let ran = std::fs::read_to_string(&book).unwrap().lines().count();
        assert_eq!(ran, done + 1, "{client:?} {mode:?}");
    }
    // Denied: the model reads why.
    let place = Place::Http(format!("{}/mcp/bank", server.url), "client-token".to_owned());
    let session = std::thread::spawn(move || Client::Python.session(&place, Mode::Modern, &steps));
    let id = waiting(&server);
    approvals(&server, &["deny", &id]);
    let seen = session.join().unwrap().unwrap();
    assert_eq!(seen["steps"]["pay"]["error"], true, "{seen}");
    assert!(seen["steps"]["pay"]["text"].as_str().unwrap().contains("an approver denied it"), "{seen}");
}
