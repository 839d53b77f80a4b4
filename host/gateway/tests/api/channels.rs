//! How people hear of parked calls: real sinks that hang, fail, redirect; links and buttons that are forged, old, used.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_approvals::Backoff;
use portcullis_gateway::channels::{ChannelError, ChannelSet, ChannelSpec, MailSpec, MailTls, Via};
use portcullis_gateway::gate::now_ms;
use portcullis_gateway::outbound::Targets;
use portcullis_gateway::upstream::ClientSecret;
use portcullis_model::{Approver, EntryKind, Plan, Step};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

const REVIEW: &str = r#"{"tool":"pay","arguments":{"w":"REVIEW","iban":"DE02120300000000202051"}}"#;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What a sink does with a request.
#[derive(Clone, Debug)]
enum Does {
    Answers(u16),
    Hangs,
    Resets,
    Redirects(String),
}

#[derive(Clone, Debug)]
struct Request {
    headers: HashMap<String, String>,
    body: String,
    at: Instant,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver on a real socket.
#[derive(Clone)]
struct Sink {
    address: SocketAddr,
    does: Arc<Mutex<Does>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Sink {
    async fn new(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            address: listener.local_addr().unwrap(),
            does: Arc::new(Mutex::new(does)),
            requests: Arc::default(),
        };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = serving.clone();
                tokio::spawn(async move { sink.answer(stream).await });
            }
        });
        sink
    }

    async fn answer(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut headers = HashMap::new();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 2 {
            if let Some((name, value)) = line.trim_end().split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            line.clear();
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let does = self.does.lock().unwrap().clone();
        let request = Request { headers, body: String::from_utf8(body).unwrap(), at: Instant::now() };
        self.requests.lock().unwrap().push(request);
        let mut stream = stream.into_inner();
        let text = match does {
            Does::Answers(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok"),
            Does::Redirects(to) => format!("HTTP/1.1 307 x\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
            Does::Hangs => return tokio::time::sleep(Duration::from_secs(600)).await,
            Does::Resets => {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
        };
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    fn url(&self) -> String {
        format!("http://{}/hook/SECRET-PATH", self.address)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Request> {
        until(|| self.requests().len() >= count).await;
        self.requests()
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("it did not come to that within half a minute");
}

fn loopback(seconds: u64) -> Targets {
    Targets::new(&[], &["127.0.0.0/8".into(), "::1/128".into()], Duration::from_secs(seconds)).unwrap()
}

fn channel(name: &str, via: Via) -> ChannelSpec {
    // Short pauses: tests wait for them.
    let backoff = Backoff { first_ms: 50, most_ms: 400, attempts: 100 };
    ChannelSpec { name: name.into(), tenants: Vec::new(), via, targets: loopback(1), backoff }
}

fn webhook_to(name: &str, url: &str, operator: Option<&str>) -> ChannelSpec {
    let (url, key) = (ClientSecret::text(url.to_owned()), ClientSecret::text(SECRET.to_owned()));
    channel(name, Via::Webhook { url, key, operator: operator.map(str::to_owned) })
}

fn webhook(name: &str, sink: &Sink) -> ChannelSpec {
    webhook_to(name, &sink.url(), Some("olga"))
}

fn slack(name: &str, sink: &Sink, operators: &[(&str, &str)]) -> ChannelSpec {
    let operators: BTreeMap<_, _> = operators.iter().map(|(id, name)| ((*id).into(), (*name).into())).collect();
    let url = ClientSecret::text(sink.url());
    channel(name, Via::Slack { url, signing: Some(ClientSecret::text(SECRET.to_owned())), operators })
}

fn hmac(key: &str, message: &str) -> String {
    // Not our own code: what a receiver would run.
    let script = "import hmac,sys;print(hmac.new(sys.argv[1].encode(),sys.stdin.buffer.read(),'sha256').hexdigest())";
    let mut child =
        Command::new("python3").args(["-c", script, key]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), message.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

fn is_signed(request: &Request) -> bool {
    let (time, signature) = (&request.headers["x-portcullis-timestamp"], &request.headers["x-portcullis-signature"]);
    let fresh = now_ms() / 1000 - time.parse::<u64>().unwrap() < 60;
    fresh && *signature == format!("v1={}", hmac(SECRET, &format!("{time}.{}", request.body)))
}

fn over(bench: &Bench, plan: fn(&mut Plan)) {
    *bench.judge.plan.lock().unwrap() = Some(plan);
}

async fn parked(bench: &Bench) -> String {
    let json = bench.inspect(AGENT, REVIEW).await.json();
    assert_eq!(json["approval"]["state"], "pending", "{json}");
    json["approval"]["id"].as_str().unwrap().to_owned()
}

async fn state(bench: &Bench, id: &str) -> String {
    bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json()["state"].as_str().unwrap().to_owned()
}

async fn outbox(bench: &Bench) -> Value {
    bench.get("/v1/outbox", OPERATOR).await.json()
}

fn ops(plan: &mut Plan) {
    plan.channels = vec!["ops".into()];
}

#[tokio::test]
async fn a_webhook_hears_of_a_parked_call_and_of_its_end_signed_and_without_arguments() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(204)).await);
    over(&bench, ops);
    bench.tell(vec![webhook("ops", &sink)]);
    let id = parked(&bench).await;
    let first = sink.wait_for(1).await.remove(0);
    assert!(is_signed(&first), "{first:?}");
    let json = first.json();
    assert_eq!((&json["kind"], &json["tenant"]), (&json!("parked"), &json!("acme")));
    let approval = &json["approval"];
    assert_eq!((&approval["id"], &approval["state"]), (&json!(id), &json!("pending")));
    assert_eq!((&approval["tool"], &approval["agent"]), (&json!("pay"), &json!("bot")));
    assert_eq!((&approval["reasons"], &approval["summary"]), (&json!(["word"]), &json!("a call with the word REVIEW")));
    assert!(approval["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(approval["deadline"], bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json()["deadline"]);
    assert!(json["link"].as_str().unwrap().starts_with("http://localhost/v1/decisions/"));
    assert_eq!(json["poll"], json!(format!("http://localhost/v1/approvals/{id}")));
    assert_eq!(first.headers["x-portcullis-message"], json["id"].as_str().unwrap());
    assert!(!first.body.contains("DE02120300000000202051"), "arguments are not told");
    let body = json!({ "decision": "deny" }).to_string();
    bench.ask("POST", &format!("/v1/approvals/{id}/decide"), OPERATOR, &body).await;
    let second = sink.wait_for(2).await.remove(1);
    assert!(is_signed(&second));
    let json = second.json();
    assert_eq!((&json["kind"], &json["approval"]["state"]), (&json!("decided"), &json!("denied")));
    assert_eq!((&json["approval"]["votes"][0]["operator"], &json["link"]), (&json!("olga"), &Value::Null));
    until(|| bench.channels.delivered() == 2).await;
    assert_eq!(outbox(&bench).await, json!({ "messages": [], "waiting": 0, "dead": 0, "lost": 0 }));
}

#[tokio::test]
async fn a_webhook_that_answers_500_or_resets_is_tried_again_and_signed_again() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(500)).await);
    over(&bench, ops);
    bench.tell(vec![webhook("ops", &sink)]);
    parked(&bench).await;
    sink.wait_for(3).await;
    let waiting = outbox(&bench).await;
    assert_eq!((&waiting["waiting"], &waiting["messages"][0]["state"]), (&json!(1), &json!("waiting")));
    assert_eq!(waiting["messages"][0]["problem"], "the receiver answered 500");
    sink.does(Does::Resets);
    let before = sink.requests().len();
    sink.wait_for(before + 2).await;
    sink.does(Does::Answers(200));
    until(|| bench.channels.delivered() == 1).await;
    let requests = sink.requests();
    assert!(requests.iter().all(is_signed));
    let ids: Vec<_> = requests.iter().map(|request| &request.headers["x-portcullis-message"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a receiver knows a second delivery");
    let attempts: Vec<u32> =
        requests.iter().map(|request| request.headers["x-portcullis-attempt"].parse().unwrap()).collect();
    assert_eq!(attempts, (1..=u32::try_from(requests.len()).unwrap()).collect::<Vec<_>>());
    let pauses: Vec<_> = requests.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(24)), "{pauses:?}");
}

#[tokio::test]
async fn a_webhook_that_hangs_holds_up_no_other_channel_and_no_call() {
    let (mut bench, slow) = (Bench::new().await, Sink::new(Does::Hangs).await);
    let quick = Sink::new(Does::Answers(200)).await;
    over(&bench, |plan| plan.channels = vec!["slow".into(), "quick".into()]);
    bench.tell(vec![webhook("slow", &slow), webhook("quick", &quick)]);
    let started = Instant::now();
    for index in 0..20 {
        let body = format!(r#"{{"tool":"pay","arguments":{{"w":"REVIEW","n":{index}}}}}"#);
        assert_eq!(bench.inspect(AGENT, &body).await.json()["verdict"], "review");
    }
    quick.wait_for(20).await;
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(slow.requests().len() < 20, "a few at a time");
    assert_eq!(outbox(&bench).await["waiting"], 20);
    slow.does(Does::Answers(200));
    until(|| bench.channels.delivered() == 40).await;
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_a_dead_message_and_nobody_is_asked() {
    let (mut bench, inside) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    let sink = Sink::new(Does::Redirects(inside.url())).await;
    over(&bench, ops);
    bench.tell(vec![webhook("ops", &sink)]);
    parked(&bench).await;
    let mut dead = outbox(&bench).await;
    while dead["dead"] != 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        dead = outbox(&bench).await;
    }
    assert_eq!(dead["messages"][0]["problem"], "127.0.0.1 redirects, which is not followed: give its final address");
    assert!(!dead.to_string().contains("SECRET-PATH"), "an address may be a secret");
    assert!(inside.requests().is_empty());
    assert_eq!(sink.requests().len(), 1);
}

#[tokio::test]
async fn a_private_address_is_not_reached_unless_its_network_is_listed() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    let closed = Targets::new(&[], &[], Duration::from_secs(1)).unwrap();
    bench.tell(vec![ChannelSpec { targets: closed, ..webhook("ops", &sink) }]);
    parked(&bench).await;
    until(|| bench.approvals.outbox().counts("acme").dead == 1).await;
    assert!(outbox(&bench).await["messages"][0]["problem"].as_str().unwrap().contains("which is not public"));
    assert!(sink.requests().is_empty());
}

#[tokio::test]
async fn an_unknown_channel_is_a_dead_message_that_an_administrator_sends_again() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    bench.tell(Vec::new());
    parked(&bench).await;
    until(|| bench.approvals.outbox().counts("acme").dead == 1).await;
    let dead = outbox(&bench).await;
    let message = &dead["messages"][0];
    assert_eq!(
        (&message["channel"], &message["state"], &message["next"]),
        (&json!("ops"), &json!("dead"), &Value::Null)
    );
    assert!(message["problem"].as_str().unwrap().contains("no [[channel]] of this name"));
    assert_eq!(bench.get("/v1/outbox?state=waiting", OPERATOR).await.json()["messages"], json!([]));
    assert_eq!(bench.get("/v1/outbox?state=lost", OPERATOR).await.check_head().status, 400);
    // Dead it stays, also across a restart, until somebody wants it otherwise.
    let mut bench = bench.restarted().await;
    bench.tell(vec![webhook("ops", &sink)]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(sink.requests().is_empty());
    let path = format!("/v1/outbox/{}/retry", message["id"].as_str().unwrap());
    for (token, status) in [("", 401), (AGENT, 403), (VIEWER, 403), (OTHER_OPERATOR, 403)] {
        assert_eq!(bench.ask("POST", &path, token, "").await.check_head().status, status, "{token}");
    }
    let unknown = "/v1/outbox/0193b0e0-0000-7000-8000-0000000000ff/retry";
    assert_eq!(bench.ask("POST", unknown, OPERATOR, "").await.check_head().status, 404);
    assert_eq!(bench.get("/v1/outbox", AGENT).await.check_head().status, 403);
    assert_eq!(bench.get("/v1/outbox", OTHER_OPERATOR).await.json()["messages"], json!([]));
    let again = bench.ask("POST", &path, OPERATOR, "").await;
    assert_eq!((again.check_head().status, &again.json()["state"]), (200, &json!("waiting")));
    sink.wait_for(1).await;
    until(|| bench.approvals.outbox().counts("acme").waiting == 0).await;
}

#[tokio::test]
async fn what_was_not_delivered_before_a_restart_is_delivered_after_it() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Hangs).await);
    over(&bench, ops);
    bench.tell(vec![webhook("ops", &sink)]);
    let id = parked(&bench).await;
    sink.wait_for(1).await;
    let mut bench = bench.restarted().await;
    sink.does(Does::Answers(200));
    assert_eq!(bench.channels.delivered(), 0);
    bench.tell(vec![webhook("ops", &sink)]);
    until(|| bench.channels.delivered() == 1).await;
    let requests = sink.requests();
    assert_eq!((requests.len(), &requests[1].json()["approval"]["id"]), (2, &json!(id)));
    assert_eq!(requests[0].headers["x-portcullis-message"], requests[1].headers["x-portcullis-message"]);
    // What was delivered is not sent at the next start.
    let mut bench = bench.restarted().await;
    bench.tell(vec![webhook("ops", &sink)]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sink.requests().len(), 2);
}

#[tokio::test]
async fn a_call_that_cannot_be_recorded_is_told_to_nobody() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    bench.tell(vec![webhook("ops", &sink)]);
    bench.journal.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(bench.inspect(AGENT, REVIEW).await.status, 503);
    bench.journal.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(sink.requests().is_empty());
    assert_eq!(outbox(&bench).await["waiting"], 0);
}

#[tokio::test]
async fn an_escalation_step_that_comes_due_tells_its_channels() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, |plan| {
        let boss = vec![Approver::Operator("vera".into())];
        plan.escalation = vec![Step { after_seconds: 1, approvers: boss, channels: vec!["boss".into()] }];
    });
    bench.tell(vec![webhook_to("boss", &sink.url(), Some("vera"))]);
    let id = parked(&bench).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(bench.gate.expire().await.unwrap(), 1);
    assert_eq!(bench.gate.expire().await.unwrap(), 0, "once");
    let told = sink.wait_for(1).await.remove(0).json();
    assert_eq!((&told["kind"], &told["approval"]["id"]), (&json!("escalated"), &json!(id)));
    // Who is asked now can decide by the link; before, she was not.
    let link = told["link"].as_str().unwrap().trim_start_matches("http://localhost").to_owned();
    let decided = press(&bench, &link, "decision=approve").await;
    assert_eq!(decided.status, 200, "{decided:?}");
    assert_eq!(state(&bench, &id).await, "approved");
    assert_eq!(bench.count("acme", EntryKind::Approval), 2, "the step and the vote");
    sink.wait_for(2).await;
}

#[tokio::test]
async fn a_thousand_messages_are_drained() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, |plan| plan.channels = (0..10).map(|n| format!("c{n}")).collect());
    // Nothing is sent while they come.
    for index in 0..100 {
        let body = format!(r#"{{"tool":"pay","arguments":{{"w":"REVIEW","n":{index}}}}}"#);
        assert_eq!(bench.inspect(AGENT, &body).await.json()["verdict"], "review");
    }
    assert_eq!(outbox(&bench).await["waiting"], 1000);
    let started = Instant::now();
    bench.tell((0..10).map(|n| webhook(&format!("c{n}"), &sink)).collect());
    until(|| bench.channels.delivered() == 1000).await;
    println!("{:.0} messages per second", 1000.0 / started.elapsed().as_secs_f64());
    assert_eq!(sink.requests().len(), 1000);
    assert_eq!(outbox(&bench).await["waiting"], 0);
}

#[tokio::test]
async fn a_chat_gets_text_in_which_names_are_harmless() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    let url = ClientSecret::text(sink.url());
    bench.tell(vec![channel("ops", Via::Chat { url, field: "content".into(), operator: None })]);
    let tool = "pay` @everyone [x](http://evil.example)\\u202e\\nApproved";
    let body = format!(r#"{{"tool":"{tool}","arguments":"REVIEW"}}"#);
    assert_eq!(bench.inspect(AGENT, &body).await.json()["verdict"], "review");
    let json = sink.wait_for(1).await.remove(0).json();
    let text = json["content"].as_str().unwrap();
    assert!(text.starts_with("A call waits for approval\nTool: `pay' (at)everyone [x](http://evil.example)"), "{text}");
    assert!(!text.contains('\u{202e}') && text.lines().all(|line| !line.starts_with("Approved")), "{text}");
    assert_eq!(json.as_object().unwrap().len(), 1);
}

async fn press(bench: &Bench, path: &str, form: &str) -> Answer {
    // As a browser does it from a page that wants no referrer.
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\norigin: null\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    let mut client = bench.client().await;
    client.0.write_all(head.as_bytes()).await.unwrap();
    client.answer().await
}

/// A parked call and the path of its decision link.
async fn linked(plan: fn(&mut Plan)) -> (Bench, Sink, String, String) {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, plan);
    bench.tell(vec![webhook("ops", &sink)]);
    let id = parked(&bench).await;
    let link = sink.wait_for(1).await[0].json()["link"].as_str().unwrap().to_owned();
    (bench, sink, id, link.trim_start_matches("http://localhost").to_owned())
}

#[tokio::test]
async fn opening_a_link_decides_nothing_and_a_button_does_once() {
    let (bench, _sink, id, link) = linked(ops).await;
    for _ in 0..3 {
        let page = bench.get(&link, "").await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(
            page.text.contains("<button name=\"decision\" value=\"approve\">") && page.text.contains("<b>olga</b>")
        );
        assert!(page.text.contains("a call with the word REVIEW") && !page.text.contains("DE02120300000000202051"));
        assert!(
            !page.text.contains("<script") && page.headers["content-security-policy"].starts_with("default-src 'none'")
        );
        assert_eq!(
            (page.headers["cache-control"].as_str(), page.headers["referrer-policy"].as_str()),
            ("no-store", "no-referrer")
        );
    }
    for method in ["PATCH", "PUT", "DELETE"] {
        assert_eq!(bench.client().await.ask(method, &link, "", b"").await.status, 405, "{method}");
    }
    assert_eq!(state(&bench, &id).await, "pending");
    for form in ["", "decision=maybe", "decision=", "decision=approve&decision=deny", "x=approve"] {
        assert_eq!(press(&bench, &link, form).await.status, 400, "{form}");
    }
    assert_eq!(state(&bench, &id).await, "pending");
    let done = press(&bench, &link, "comment=looked+at+it%21&decision=approve").await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(done.text.contains("olga approved the call of pay by bot. It is approved now."), "{done:?}");
    let approval = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    assert_eq!((&approval["state"], &approval["votes"][0]["operator"]), (&json!("approved"), &json!("olga")));
    assert_eq!(approval["votes"][0]["comment"], "looked at it!");
    for answer in [press(&bench, &link, "decision=deny").await, bench.get(&link, "").await] {
        assert_eq!(answer.status, 410, "{answer:?}");
        assert!(answer.text.contains("This link was used"), "{answer:?}");
    }
    assert_eq!(state(&bench, &id).await, "approved");
}

#[tokio::test]
async fn a_used_link_stays_used_while_others_are_still_asked_and_after_a_restart() {
    fn two(plan: &mut Plan) {
        ops(plan);
        plan.quorum = 2;
    }
    let (bench, _sink, id, link) = linked(two).await;
    let (one, other) = tokio::join!(press(&bench, &link, "decision=approve"), press(&bench, &link, "decision=deny"));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200, "{one:?} {other:?}");
    assert!([409, 410].contains(&statuses[1]), "{one:?} {other:?}");
    let before = bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json();
    assert_eq!(before["votes"].as_array().unwrap().len(), 1);
    let bench = bench.restarted().await;
    for form in ["decision=approve", "decision=deny"] {
        assert_eq!(press(&bench, &link, form).await.status, 410);
    }
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), OPERATOR).await.json()["state"], before["state"]);
}

#[tokio::test]
async fn a_forged_link_is_none() {
    let (bench, _sink, id, link) = linked(ops).await;
    let token = link.trim_start_matches("/v1/decisions/");
    let mut flipped = token.as_bytes().to_vec();
    flipped[60] = if flipped[60] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for forged in [flipped.as_str(), &token[..token.len() - 1], "AAAA", "%20", &"A".repeat(2000)] {
        let path = format!("/v1/decisions/{forged}");
        for answer in [bench.get(&path, "").await, press(&bench, &path, "decision=approve").await] {
            assert_eq!(answer.status, 404, "{forged}");
            assert!(answer.text.contains("This is no valid link"), "{answer:?}");
        }
    }
    assert_eq!(state(&bench, &id).await, "pending");
    // A token of somebody else adds nothing.
    assert_eq!(bench.get("/v1/decisions/AAAA", OPERATOR).await.status, 404);
}

#[tokio::test]
async fn an_expired_link_says_so() {
    let (bench, _sink, id, link) = linked(|plan| {
        ops(plan);
        plan.deadline_seconds = 1;
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1050)).await;
    for answer in [bench.get(&link, "").await, press(&bench, &link, "decision=approve").await] {
        assert_eq!(answer.status, 410, "{answer:?}");
        assert!(answer.text.contains("Nobody decided in time"), "{answer:?}");
    }
    assert_eq!(state(&bench, &id).await, "expired");
}

#[tokio::test]
async fn a_link_of_an_operator_who_was_removed_or_is_not_asked_decides_nothing() {
    let (bench, sink, id, link) = linked(ops).await;
    bench.credentials.replace(portcullis_tenancy::Directory::new(&[], None).unwrap());
    let answer = press(&bench, &link, "decision=approve").await;
    assert_eq!(answer.status, 403, "{answer:?}");
    bench.credentials.replace(halting(""));
    assert_eq!(state(&bench, &id).await, "pending");
    // A channel whose operator the plan does not ask carries no link at all.
    let mut bench = bench;
    bench.tell(vec![webhook_to("ops", &sink.url(), Some("vera"))]);
    bench.inspect(AGENT, &REVIEW.replace("REVIEW", "REVIEW 2")).await;
    assert_eq!(sink.wait_for(2).await[1].json()["link"], Value::Null);
}

#[tokio::test]
async fn a_link_to_a_call_that_was_changed_since_decides_nothing_and_a_new_one_is_sent() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    bench.tell(vec![webhook("ops", &sink)]);
    let call = r#"{"tool":"pay","arguments":{"w":"REVIEW FLEX","amount":500}}"#;
    let id = bench.inspect(AGENT, call).await.json()["approval"]["id"].as_str().unwrap().to_owned();
    let path =
        |request: &Request| request.json()["link"].as_str().unwrap().trim_start_matches("http://localhost").to_owned();
    let old = path(&sink.wait_for(1).await[0]);
    let body = json!({ "changes": [{ "pointer": "/amount", "value": 5 }] }).to_string();
    let changed = bench.ask("POST", &format!("/v1/approvals/{id}/modify"), OPERATOR, &body).await;
    assert_eq!(changed.check_head().status, 200);
    for answer in [bench.get(&old, "").await, press(&bench, &old, "decision=approve").await] {
        assert_eq!(answer.status, 410, "{answer:?}");
        assert!(answer.text.contains("This call has changed"), "{answer:?}");
    }
    assert_eq!(state(&bench, &id).await, "pending");
    let told = sink.wait_for(2).await.remove(1);
    assert_eq!((&told.json()["kind"], &told.json()["approval"]["state"]), (&json!("modified"), &json!("pending")));
    assert_eq!(told.json()["approval"]["digest"], changed.json()["modified"]["digest"]);
    assert_eq!(press(&bench, &path(&told), "decision=approve").await.status, 200);
    assert_eq!(state(&bench, &id).await, "approved");
}

#[tokio::test]
async fn nobody_approves_their_own_call_by_a_link() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    bench.tell(vec![webhook_to("ops", &sink.url(), Some("owner"))]);
    let id = parked(&bench).await;
    let link = sink.wait_for(1).await[0].json()["link"].as_str().unwrap().to_owned();
    let answer = press(&bench, link.trim_start_matches("http://localhost"), "decision=approve").await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.text.contains("nobody approves their own call"), "{answer:?}");
    assert_eq!(state(&bench, &id).await, "pending");
}

#[tokio::test]
async fn a_decision_by_a_link_that_cannot_be_recorded_does_not_count() {
    let (bench, _sink, id, link) = linked(ops).await;
    bench.journal.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(press(&bench, &link, "decision=approve").await.status, 503);
    bench.journal.broken.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(state(&bench, &id).await, "pending");
    assert_eq!(press(&bench, &link, "decision=deny").await.status, 200, "it was not used up");
    assert_eq!(state(&bench, &id).await, "denied");
}

/// An interaction as Slack sends it, signed with this secret at this time.
async fn interaction(bench: &Bench, payload: &Value, secret: &str, time: u64, spoil: bool) -> Answer {
    let encoded: String = payload.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body = format!("payload={encoded}");
    let mut signature = format!("v0={}", hmac(secret, &format!("v0:{time}:{body}")));
    if spoil {
        let last = if signature.pop() == Some('0') { '1' } else { '0' };
        signature.push(last);
    }
    let head = format!(
        "POST /v1/slack/interactions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         x-slack-request-timestamp: {time}\r\nx-slack-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = bench.client().await;
    client.0.write_all(head.as_bytes()).await.unwrap();
    client.answer().await
}

fn seconds() -> u64 {
    now_ms() / 1000
}

#[tokio::test]
async fn a_button_in_slack_decides_for_the_operator_that_its_user_stands_for() {
    let (mut bench, sink) = (Bench::new().await, Sink::new(Does::Answers(200)).await);
    over(&bench, ops);
    bench.tell(vec![slack("ops", &sink, &[("U024BE7LH", "olga"), ("UVERA", "vera"), ("UGONE", "gone")])]);
    let id = parked(&bench).await;
    let message = sink.wait_for(1).await.remove(0).json();
    let text = message["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.contains("*A call waits for approval*") && text.contains("`pay`"), "{text}");
    assert!(!message.to_string().contains("DE02120300000000202051"));
    let buttons = message["blocks"][1]["elements"].as_array().unwrap();
    assert_eq!((&buttons[0]["action_id"], &buttons[1]["action_id"]), (&json!("approve"), &json!("deny")));
    let value = buttons[0]["value"].as_str().unwrap();
    let payload = |user: &str, action: &str, value: &str| {
        json!({
            "type": "block_actions", "user": { "id": user }, "response_url": sink.url(),
            "actions": [{ "action_id": action, "value": value }],
        })
    };
    let good = payload("U024BE7LH", "approve", value);
    // Off by one, too old, too far ahead, signed by somebody else.
    for (secret, time, spoil) in [
        (SECRET, seconds(), true),
        (SECRET, seconds() - 300, false),
        (SECRET, seconds() + 400, false),
        ("another secret of that length..", seconds(), false),
    ] {
        let answer = interaction(&bench, &good, secret, time, spoil).await;
        assert_eq!((answer.check_head().status, answer.code()), (401, "unauthorized".to_owned()));
    }
    let unsigned = bench.ask("POST", "/v1/slack/interactions", "", "payload=%7B%7D").await;
    assert_eq!(unsigned.check_head().status, 401);
    assert_eq!(state(&bench, &id).await, "pending");
    // Well signed, but not somebody who may.
    let said = async |payload: &Value| {
        let answer = interaction(&bench, payload, SECRET, seconds(), false).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["text"].as_str().unwrap().to_owned()
    };
    assert!(said(&payload("U0UNKNOWN", "approve", value)).await.contains("stands for no operator"));
    assert!(said(&payload("UVERA", "approve", value)).await.contains("names other approvers"));
    assert!(said(&payload("UGONE", "approve", value)).await.contains("no operator of this server"));
    let mut forged = value.as_bytes().to_vec();
    forged[60] = if forged[60] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert!(said(&payload("U024BE7LH", "approve", &forged)).await.contains("not made by this server"));
    assert_eq!(state(&bench, &id).await, "pending");
    let broken = interaction(&bench, &json!({ "type": "view_submission" }), SECRET, seconds(), false).await;
    assert_eq!(broken.check_head().status, 400);
    let heard = sink.requests().len();
    assert_eq!(said(&good).await, "olga approved the call of pay by bot. It is approved now.");
    assert_eq!(state(&bench, &id).await, "approved");
    // Shown in the place of the message; then the end is told, without buttons.
    let after = sink.wait_for(heard + 2).await;
    let shown = after.iter().map(Request::json).find(|json| json["replace_original"] == true);
    assert!(shown.unwrap()["text"].as_str().unwrap().contains("approved"));
    let told = after.iter().map(Request::json).find(|json| json["text"] == "A call was approved").unwrap();
    assert_eq!(told["blocks"].as_array().unwrap().len(), 1);
    assert!(said(&payload("U024BE7LH", "deny", value)).await.contains("A link is good once"));
    assert_eq!(state(&bench, &id).await, "approved");
}

/// A mail server on a real socket that speaks as much SMTP as is needed; the mails it took, by recipient.
async fn mail_server(refuses: &'static str) -> (u16, Arc<Mutex<Vec<(String, String)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&mails);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let taken = Arc::clone(&taken);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let (mut line, mut to) = (String::new(), String::new());
                stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    let word = line.to_ascii_uppercase();
                    let answer = match () {
                        () if word.starts_with("EHLO") => "250-mail.example\r\n250 8BITMIME\r\n",
                        () if word.starts_with("RCPT") && line.contains(refuses) => "450 later\r\n",
                        () if word.starts_with("RCPT") => {
                            to = line.split(['<', '>']).nth(1).unwrap().to_owned();
                            "250 ok\r\n"
                        }
                        () if word.starts_with("DATA") => {
                            stream.write_all(b"354 go on\r\n").await.unwrap();
                            let mut mail = String::new();
                            while !mail.ends_with("\r\n.\r\n") {
                                stream.read_line(&mut mail).await.unwrap();
                            }
                            taken.lock().unwrap().push((to.clone(), mail));
                            "250 taken\r\n"
                        }
                        () if word.starts_with("QUIT") => "221 bye\r\n",
                        () => "250 ok\r\n",
                    };
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
    });
    (port, mails)
}

fn mail(port: u16, to: &[(&str, Option<&str>)]) -> ChannelSpec {
    let spec = MailSpec {
        host: "127.0.0.1".into(),
        port: Some(port),
        tls: MailTls::Plain,
        login: None,
        from: "Portcullis <portcullis@example.com>".into(),
        to: to.iter().map(|(to, operator)| ((*to).to_owned(), operator.map(str::to_owned))).collect(),
    };
    channel("ops", Via::Mail(spec))
}

#[tokio::test]
async fn each_recipient_gets_a_mail_with_a_link_of_its_own_once() {
    let mut bench = Bench::new().await;
    over(&bench, ops);
    // The first one is refused for now: the others get theirs, and not again for that.
    let (port, mails) = mail_server("busy@").await;
    let to = [("busy@example.com", None), ("olga@example.com", Some("olga")), ("ben@example.com", None)];
    bench.tell(vec![mail(port, &to)]);
    let id = parked(&bench).await;
    until(|| bench.approvals.outbox().list("acme", None, None, 9).iter().any(|message| message.attempts > 2)).await;
    assert_eq!(outbox(&bench).await["messages"][0]["problem"], "the mail server 127.0.0.1 answered 450");
    let mut taken = mails.lock().unwrap().clone();
    taken.sort();
    let whom: Vec<_> = taken.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(whom, ["ben@example.com", "olga@example.com"], "one that is not there keeps nobody from being told");
    let (_, text) = &taken[1];
    assert!(text.contains("Subject: [portcullis] A call waits for approval\r\n"), "{text}");
    assert!(text.contains("Message-ID: <") && !text.contains("DE02120300000000202051"), "{text}");
    // Long lines are folded as quoted-printable.
    let text = text.replace("=\r\n", "").replace("=3D", "=");
    let link = text.split("http://localhost").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(press(&bench, &link, "decision=approve").await.status, 200);
    assert_eq!(state(&bench, &id).await, "approved");
}

#[tokio::test]
async fn mail_without_tls_and_mail_servers_on_private_addresses_are_refused_unless_listed() {
    let mut bench = Bench::new().await;
    over(&bench, ops);
    let (port, mails) = mail_server("nobody@").await;
    let closed = Targets::new(&[], &[], Duration::from_secs(1)).unwrap();
    bench.tell(vec![ChannelSpec { targets: closed, ..mail(port, &[("olga@example.com", None)]) }]);
    parked(&bench).await;
    until(|| bench.approvals.outbox().counts("acme").dead == 1).await;
    assert!(mails.lock().unwrap().is_empty());
}

#[test]
fn channels_that_cannot_work_are_refused_when_they_are_configured() {
    let refused = |spec: ChannelSpec| ChannelSet::new(vec![spec]).err().expect("it is refused").1;
    let text = |text: &str| ClientSecret::text(text.to_owned());
    let hook = |url: &str, key: &str| channel("x", Via::Webhook { url: text(url), key: text(key), operator: None });
    assert!(matches!(refused(hook("https://a.example/", "short")), ChannelError::Secret(..)));
    for url in ["", "a.example", "ftp://a.example/", "https://user@a.example/"] {
        assert!(matches!(refused(hook(url, SECRET)), ChannelError::Target(_) | ChannelError::Secret(..)), "{url}");
    }
    let elsewhere = Targets::new(&["b.example".into()], &[], Duration::from_secs(1)).unwrap();
    let spec = ChannelSpec { targets: elsewhere, ..hook("https://a.example/", SECRET) };
    assert!(matches!(refused(spec), ChannelError::Target(_)));
    assert!(matches!(refused(mail(25, &[])), ChannelError::Recipients(_)));
    assert!(matches!(refused(mail(25, &[("no address", None)])), ChannelError::Address(_)));
    let named = |name: &str, tenants: &[&str]| ChannelSpec {
        name: name.into(),
        tenants: tenants.iter().map(|tenant| (*tenant).to_owned()).collect(),
        ..hook("https://a.example/", SECRET)
    };
    for (one, other, good) in [
        (named("a", &["x"]), named("a", &["y"]), true),
        (named("a", &["x"]), named("b", &["x"]), true),
        (named("a", &["x", "y"]), named("a", &["y"]), false),
        (named("a", &[]), named("a", &["y"]), false),
        (named("a", &["x"]), named("a", &[]), false),
        (named("a", &[]), named("a", &[]), false),
    ] {
        assert_eq!(ChannelSet::new(vec![one, other]).is_ok(), good);
    }
}
