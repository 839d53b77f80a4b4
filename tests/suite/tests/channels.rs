//! Messages about parked calls, from the built binary to real receivers.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_suite::{Listening, Server, Setup, python, script};

const KEY: &str = "a key of the webhook, long enough";

fn config(channel: &str) -> String {
    // SHA-256 of the tokens alpha-token and gamma-token.
    format!(
        r#"
server.public_url = "http://localhost"

{channel}

[[tenant]]
name = "acme"
plugins = [{{ name = "rule-baseline", limits = {{ deadline_ms = 10_000 }} }}]
router = {{ name = "router-default", limits = {{ deadline_ms = 10_000 }}, config = {{ channels = ["ops"] }} }}

[[tenant.agent]]
name = "billing-bot"
token_sha256 = ["sha256:a336d9b1d8b8647875238537ca5087b0ea335afd2032936aecdffc3e4b13f720"]

[[tenant.operator]]
name = "olga"
token_sha256 = ["sha256:6be6ba7a6ef7e0422d11aaf33cf3e9290ff8186e391f846c1cf23fe7594a9b19"]
roles = ["approver", "admin"]
"#
    )
}

fn setup(channel: &str) -> Setup {
    let files = vec![("hook.key".to_owned(), KEY.as_bytes().to_vec())];
    Setup { config: Some(config(channel)), files, warm: true, ..Setup::default() }
}

fn park(server: &Server) -> String {
    let headers = [("content-type", "application/json"), ("authorization", "Bearer alpha-token")];
    let body = br#"{"tool":"wire_transfer","arguments":{"amount":5,"iban":"DE02120300000000202051"}}"#;
    let answer = server.request("POST", "/v1/inspect", &headers, body).unwrap().json().unwrap();
    assert_eq!(answer["approval"]["state"], "pending", "{answer}");
    answer["approval"]["id"].as_str().unwrap().to_owned()
}

fn ask(server: &Server, path: &str) -> Value {
    server.request("GET", path, &[("authorization", "Bearer gamma-token")], b"").unwrap().json().unwrap()
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it did not come to that within a minute");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A webhook's receiver: takes requests and answers them if it is to.
struct Sink {
    port: u16,
    answers: Arc<Mutex<bool>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sink = Self { port, answers: Arc::default(), requests: Arc::default() };
        let (answers, requests) = (Arc::clone(&sink.answers), Arc::clone(&sink.requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, requests) = (Arc::clone(&answers), Arc::clone(&requests));
                thread::spawn(move || Self::take(stream, &answers, &requests));
            }
        });
        sink
    }

    fn take(stream: TcpStream, answers: &Mutex<bool>, requests: &Mutex<Vec<(String, String)>>) {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                break;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        requests.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
        if *answers.lock().unwrap() {
            let _ = reader.into_inner().write_all(b"HTTP/1.1 204 taken\r\n\r\n");
        } else {
            thread::sleep(Duration::from_secs(120));
        }
    }

    fn channel(&self) -> String {
        format!(
            "[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{}/hook\"\n\
             secret_file = \"hook.key\"\nnetworks = [\"127.0.0.0/8\"]\noperator = \"olga\"\n",
            self.port
        )
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().unwrap().clone()
    }
}

#[test]
fn a_server_that_is_killed_between_the_parked_call_and_its_message_sends_it_after_the_next_start() {
    let sink = Sink::start();
    let setup = setup(&sink.channel());
    let server = Server::start(&setup).unwrap();
    let id = park(&server);
    // It takes the message and never says so.
    until(|| (!sink.requests().is_empty()).then_some(()));
    let folder = server.kill().unwrap();
    *sink.answers.lock().unwrap() = true;
    let before = sink.requests().len();
    let server = Server::start_in(folder, &setup).unwrap();
    until(|| (sink.requests().len() > before).then_some(()));
    until(|| (ask(&server, "/v1/outbox")["waiting"] == 0).then_some(()));
    let requests = sink.requests();
    let ids: Vec<String> = requests
        .iter()
        .map(|(_, body)| serde_json::from_str::<Value>(body).unwrap())
        .inspect(|body| assert_eq!((&body["kind"], &body["approval"]["id"]), (&json!("parked"), &json!(id))))
        .map(|body| body["id"].to_string())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(requests.iter().all(|(_, body)| !body.contains("DE02120300000000202051")));
    // The receiver's own check, with nothing of ours.
    let check = "import hmac,sys\nkey,head,body=sys.argv[1:]\nh={k.strip().lower():v.strip() for k,_,v in \
                 (l.partition(':') for l in head.splitlines())}\nt=h['x-portcullis-timestamp']\n\
                 good='v1='+hmac.new(key.encode(),(t+'.'+body).encode(),'sha256').hexdigest()\n\
                 sys.exit(not hmac.compare_digest(good,h['x-portcullis-signature']))";
    let (head, body) = requests.last().unwrap();
    assert!(Command::new("python3").args(["-c", check, KEY, head, body]).status().unwrap().success());
    assert!(
        !Command::new("python3").args(["-c", check, KEY, head, &body.replace('5', "6")]).status().unwrap().success()
    );
    // Once delivered, it is not sent at the next start.
    let folder = server.kill().unwrap();
    let server = Server::start_in(folder, &setup).unwrap();
    assert_eq!(ask(&server, "/v1/outbox")["messages"], json!([]));
}

#[test]
fn a_real_mail_server_gets_a_mail_whose_link_decides_once() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("mails.jsonl");
    let sink = Listening::start(Command::new(python().unwrap()).arg(script("mail_sink.py")).arg(&mails)).unwrap();
    let port = sink.url.rsplit(':').next().unwrap();
    let server = Server::start(&setup(&format!(
        "[[channel]]\nname = \"ops\"\nkind = \"mail\"\nnetworks = [\"127.0.0.0/8\"]\n\
         operators = {{ \"olga@example.com\" = \"olga\" }}\n\
         [channel.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"Portcullis <gate@example.com>\"\n\
         to = [\"olga@example.com\", \"list@example.com\"]\n"
    )))
    .unwrap();
    let id = park(&server);
    let taken = until(|| {
        let text = fs::read_to_string(&mails).unwrap_or_default();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 2).then_some(lines)
    });
    let (one, other) = (&taken[0], &taken[1]);
    assert_eq!((&one["to"], &other["to"]), (&json!(["olga@example.com"]), &json!(["list@example.com"])));
    assert_eq!(
        (&one["from"], &one["subject"]),
        (&json!("gate@example.com"), &json!("[portcullis] A call waits for approval"))
    );
    let text = one["text"].as_str().unwrap();
    assert!(text.contains("wire_transfer") && text.contains(&id) && !text.contains("DE02120300000000202051"), "{text}");
    assert!(!other["text"].as_str().unwrap().contains("/v1/decisions/"), "only who stands for an operator gets a link");
    let link = text.split("http://localhost").nth(1).unwrap().split_whitespace().next().unwrap();
    let page = server.request("GET", link, &[], b"").unwrap();
    assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")));
    assert_eq!(ask(&server, &format!("/v1/approvals/{id}"))["state"], "pending");
    let press = || {
        let form = [("content-type", "application/x-www-form-urlencoded"), ("origin", "null")];
        server.request("POST", link, &form, b"decision=approve").unwrap().status
    };
    assert_eq!((press(), press()), (200, 410));
    assert_eq!(ask(&server, &format!("/v1/approvals/{id}"))["state"], "approved");
}

/// An authority and a certificate for `localhost`.
const CERTIFICATES: &str = r#"
openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout mail.key -out mail.csr
printf "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n" > names
openssl x509 -req -in mail.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile names -out mail.pem
"#;

#[test]
fn a_mail_server_that_wants_tls_and_a_login_gets_both_and_one_of_another_authority_gets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh").args(["-e", "-c", CERTIFICATES]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ca = fs::read(folder.path().join("ca.pem")).unwrap();
    for tls in ["starttls", "wrapped"] {
        let mails = folder.path().join(format!("{tls}.jsonl"));
        let mut command = Command::new(python().unwrap());
        command.current_dir(folder.path()).arg(script("mail_sink.py")).arg(&mails).args(["--tls", tls]);
        command.args(["--certificate", "mail.pem", "mail.key", "--login", "gate", "a password of the mail server"]);
        let sink = Listening::start(&mut command).unwrap();
        let port = sink.url.rsplit(':').next().unwrap();
        let channel = |ca: &str| {
            format!(
                "[[channel]]\nname = \"ops\"\nkind = \"mail\"\nnetworks = [\"127.0.0.0/8\", \"::1/128\"]\n{ca}\
                 secret_file = \"mail.password\"\n\
                 [channel.smtp]\nhost = \"localhost\"\nport = {port}\ntls = \"{tls}\"\nusername = \"gate\"\n\
                 from = \"gate@example.com\"\nto = [\"olga@example.com\"]\n"
            )
        };
        let setup = |channel: &str, password: &str| {
            let mut setup = setup(channel);
            setup.files.push(("ca.pem".to_owned(), ca.clone()));
            setup.files.push(("mail.password".to_owned(), password.as_bytes().to_vec()));
            setup
        };
        let problem = |server: &Server| {
            let shown = until(|| {
                let outbox = ask(server, "/v1/outbox");
                outbox["messages"][0]["problem"].as_str().map(str::to_owned)
            });
            assert!(!shown.contains("password of"), "{shown}");
            shown
        };
        // Certificates of nobody who is trusted.
        let server = Server::start(&setup(&channel(""), "a password of the mail server")).unwrap();
        park(&server);
        assert_eq!(problem(&server), "TLS with the mail server localhost failed", "{tls}");
        // The wrong password is the server's to refuse, for good.
        let server = Server::start(&setup(&channel("ca = \"ca.pem\"\n"), "some other password of somebody")).unwrap();
        park(&server);
        assert_eq!(problem(&server), "the mail server localhost answered 535", "{tls}");
        assert!(!mails.exists(), "{tls}: nothing was taken");

        let server = Server::start(&setup(&channel("ca = \"ca.pem\"\n"), "a password of the mail server")).unwrap();
        park(&server);
        let mail: Value = until(|| serde_json::from_str(&fs::read_to_string(&mails).ok()?).ok());
        assert_eq!((&mail["secure"], &mail["login"]), (&json!(true), &json!("gate")), "{tls}");
        let errors = server.errors().unwrap();
        assert!(!errors.contains("password of"), "{errors}");
    }
}

#[test]
fn a_plan_that_names_an_unknown_channel_is_noted_by_check_and_its_message_is_shown_as_dead() {
    let sink = Sink::start();
    *sink.answers.lock().unwrap() = true;
    let server = Server::start(&setup("")).unwrap();
    park(&server);
    let list = ["approvals", "outbox", "--tenant", "acme", "--data", "data"];
    let said = until(|| {
        let (code, said, errors) = server.portcullis(&list).unwrap();
        assert_eq!(code, 0, "{errors}");
        said.contains("1 dead").then_some(said)
    });
    assert!(
        said.contains("parked") && said.contains("to ops") && said.contains("no [[channel]] of this name"),
        "{said}"
    );
    let (_, noted, _) = server.portcullis(&["check", "--config", "portcullis.toml"]).unwrap();
    assert!(
        noted.contains(r#"note: tenant acme: its router names the channel "ops", and no [[channel]] is that"#),
        "{noted}"
    );
    // Configured afterwards, and sent again: nothing was lost.
    fs::write(server.folder().join("portcullis.toml"), config(&sink.channel())).unwrap();
    let (code, _, errors) = server.portcullis(&["check", "--config", "portcullis.toml"]).unwrap();
    assert_eq!(code, 0, "{errors}");
    let operator = [("authorization", "Bearer gamma-token")];
    assert_eq!(server.request("POST", "/v1/generations", &operator, b"").unwrap().status, 200);
    let message = said.split_whitespace().next().unwrap();
    let (code, _, errors) = server.portcullis(&[&list[..], &["--retry", message]].concat()).unwrap();
    assert_eq!(code, 0, "{errors}");
    until(|| (!sink.requests().is_empty()).then_some(()));
}

#[test]
fn channels_that_cannot_work_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hook.key"), KEY).unwrap();
    fs::write(folder.path().join("short.key"), "short").unwrap();
    let said = |channel: &str| {
        fs::write(folder.path().join("portcullis.toml"), config(&format!("[[channel]]\nname = \"ops\"\n{channel}")))
            .unwrap();
        let mut check = Command::new(test_suite::binary().unwrap());
        let output = check.args(["check", "--config", "portcullis.toml"]).current_dir(folder.path()).output().unwrap();
        assert!(!output.status.success(), "accepted: {channel}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let hook = "kind = \"webhook\"\nurl = \"https://a.example/\"\n";
    for (channel, why) in [
        ("kind = \"pigeon\"", "pigeon"),
        ("kind = \"webhook\"\nsecret_file = \"hook.key\"", "exactly one of `url`"),
        (hook, "the key that its messages are signed with"),
        (&format!("{hook}secret_file = \"short.key\""), "shorter than 16 bytes"),
        (&format!("{hook}secret_file = \"nothing.key\""), "nothing.key"),
        (&format!("{hook}secret_env = \"PORTCULLIS_TEST_NOT_SET\""), "PORTCULLIS_TEST_NOT_SET"),
        (&format!("{hook}secret_file = \"hook.key\"\nhosts = [\"b.example\"]"), "a.example"),
        (&format!("{hook}secret_file = \"hook.key\"\nnetworks = [\"ten\"]"), "10.1.0.0/16"),
        (&format!("{hook}secret_file = \"hook.key\"\nattempts = 0"), "attempts"),
        (&format!("{hook}secret_file = \"hook.key\"\noperators = {{ U1 = \"olga\" }}"), "only slack and mail"),
        ("kind = \"slack\"\nurl = \"https://hooks.slack.com/x\"\nsecret_file = \"hook.key\"", "buttons need both"),
        ("kind = \"mail\"", "smtp"),
    ] {
        let said = said(channel);
        assert!(said.contains("channel[0]") || said.contains("pigeon"), "{channel}: {said}");
        assert!(said.contains(why), "{channel}: {said}");
        assert!(!said.contains(KEY) && !said.contains("short\n"), "{said}");
    }
}
