//! Foreign bytes of every sort: an answer in the contract's form, never a panic, a hang or a 500.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hyper::{Request, Response};
use portcullis_gateway::http::{Body, Mount, PeerInfo, Reply, RequestBody};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::*;

#[tokio::test]
async fn bytes_that_are_no_json_are_malformed() {
    let bench = Bench::new().await;
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let nested = |levels: usize| format!(r#"{{"tool":"t","arguments":{}}}"#, deep(levels)).into_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"nonsense".to_vec(),
        b"{}{}".to_vec(),
        b"{\"tool\":\"t\"} x".to_vec(),
        b"{'tool':'t'}".to_vec(),
        b"{\"tool\":\"t\",}".to_vec(),
        b"{\"tool\":\"t\",\"tool\":\"u\"}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":{\"a\":1,\"a\":2}}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":{\"a\":1,\"\\u0061\":2}}".to_vec(),
        b"{\"tool\":\"\xff\xfe\"}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":\"\\ud800\"}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":\"a\0b\"}".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"\xef\xbb\xbf{\"tool\":\"t\"}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":NaN}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":01}".to_vec(),
        b"{\"tool\":\"t\",\"arguments\":1.}".to_vec(),
        nested(64),
        nested(100),
        nested(100_000),
        format!("{{\"tool\":\"t\",\"arguments\":[{}]}}", vec!["0"; 300_000].join(",")).into_bytes(),
    ];
    let mut client = bench.client().await;
    for body in bodies {
        let answer = client.ask("POST", "/v1/inspect", AGENT, &body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!((answer.check_head().status, answer.code().as_str()), (400, "malformed"), "{shown}");
        assert!(!answer.message().is_empty() && !answer.json()["error"]["hint"].as_str().unwrap().is_empty());
    }
    assert_eq!(client.ask("POST", "/v1/inspect", AGENT, &nested(63)).await.status, 200);
    assert_eq!(bench.entries("acme").len(), 1);
}

#[tokio::test]
async fn odd_but_good_json_is_taken() {
    let bench = Bench::new().await;
    for body in [
        r#"{"tool":"t","arguments":{"n":1e999999,"m":-0,"k":340282366920938463463374607431768211456}}"#,
        r#"{"tool":"t","arguments":"nul \u0000 inside"}"#,
        r#"{"tool":"\ud83d\ude00","arguments":{"":{"":""}}}"#,
        "\r\n\t {\"tool\":\"t\"} \n",
    ] {
        assert_eq!(bench.inspect(AGENT, body).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn unknown_fields_are_named_and_their_text_is_bounded() {
    let bench = Bench::new().await;
    let name = "\u{1}\"<script>".repeat(5000);
    let body = serde_json::json!({ "tool": "t", (name): 1 }).to_string();
    let answer = bench.inspect(AGENT, &body).await;
    assert_eq!(answer.check_head().status, 400);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let bench = Bench::new().await;
    let body = |length: usize| format!(r#"{{"tool":"t","arguments":"{}"}}"#, "x".repeat(length)).into_bytes();
    let answer = bench.client().await.ask("POST", "/v1/inspect", AGENT, &body(4 * 1024 * 1024 - 64)).await;
    assert_eq!(answer.status, 200, "4 MiB are allowed");
    // A client that announces too much is told at once, before it sends.
    let mut client = bench.client().await;
    let head: &[u8] = b"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer agent-token\r\n\
        content-type: application/json\r\ncontent-length: 5242880\r\n\r\n";
    client.0.write_all(head).await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.check_head().status, answer.code().as_str()), (413, "too_large"));
    // One that listens only when it has sent everything gets the answer too.
    let mut client = bench.client().await;
    client.0.write_all(&[head, vec![b' '; 5_242_880].as_slice()].concat()).await.unwrap();
    assert_eq!(client.answer().await.status, 413);
    // One that does not announce it is stopped on the way.
    let mut client = bench.client().await;
    let head = b"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer agent-token\r\n\
        content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    client.0.write_all(head).await.unwrap();
    let (mut reader, mut writer) = client.0.into_split();
    let send = async {
        let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
        for _ in 0..80 {
            if writer.write_all(&chunk).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut answer = vec![0; 4096];
        let length = reader.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let (_, answer) = tokio::join!(send, read);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_large_bodies_than_there_is_room_for_do_not_wait_for_each_other() {
    let bench = Bench::with(Setup { body_timeout: Duration::from_secs(30), ..Setup::default() }).await;
    let text = format!(r#"{{"tool":"t","arguments":"{}"}}"#, "x".repeat(3_600_000));
    let body = |token: &str| request("POST", "/v1/inspect", token, text.as_bytes());
    let half = text.len() / 2;
    let mut clients = Vec::new();
    for _ in 0..85 {
        clients.push(bench.client().await);
    }
    // Nobody takes more than a share of the room; together they want more than there is.
    let bodies: Vec<_> = [AGENT, OTHER, WATCHED].into_iter().map(body).collect();
    // All of them are half there before any is whole; a server that reads none of a body for want of room blocks its sender.
    let sent: Vec<_> = clients
        .into_iter()
        .zip(bodies.iter().cycle())
        .map(|(mut client, body)| {
            let body = body.clone();
            tokio::spawn(async move {
                client.0.write_all(&body[..half]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
                client.0.write_all(&body[half..]).await.unwrap();
                client.answer().await.status
            })
        })
        .collect();
    let mut answers = Vec::new();
    for one in sent {
        answers.push(one.await.unwrap());
    }
    assert!(answers.iter().all(|status| matches!(status, 200 | 503)), "{answers:?}");
    assert!(answers.iter().filter(|status| **status == 200).count() >= 70, "{answers:?}");
}

#[tokio::test]
async fn one_agent_does_not_take_the_room_for_large_bodies_from_others() {
    let mut setup = Setup { body_timeout: Duration::from_secs(30), ..Setup::default() };
    setup.server.connections = 128;
    let bench = Bench::with(setup).await;
    let announced = request("POST", "/v1/inspect", AGENT, &vec![b' '; 4 << 20]);
    let mut held = Vec::new();
    // What these want is more than all the room there is.
    for _ in 0..70 {
        let mut client = bench.client().await;
        client.0.write_all(&announced[..80 * 1024]).await.unwrap();
        held.push(client);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let large = format!(r#"{{"tool":"t","arguments":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(bench.inspect(OTHER, &large).await.status, 200);
    assert_eq!(bench.inspect(AGENT, r#"{"tool":"t"}"#).await.status, 200, "small ones need no room");
}

#[tokio::test]
async fn media_types_are_checked() {
    let bench = Bench::new().await;
    let ask = async |headers: &str| {
        let mut client = bench.client().await;
        let text = format!(
            "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer agent-token\r\n{headers}content-length: 12\r\n\r\n{{\"tool\":\"t\"}}"
        );
        client.0.write_all(text.as_bytes()).await.unwrap();
        client.answer().await.check_head().status
    };
    for good in ["application/json", "Application/JSON", "application/json; charset=utf-8"] {
        assert_eq!(ask(&format!("content-type: {good}\r\n")).await, 200, "{good}");
    }
    for bad in [
        "",
        "content-type: text/plain\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        "content-type: application/jsonp\r\n",
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
    ] {
        assert_eq!(ask(bad).await, 415, "{bad}");
    }
    assert_eq!(ask("content-type: application/json\r\ncontent-encoding: identity\r\n").await, 200);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let bench = Bench::new().await;
    for (headers, status) in [
        ("host: localhost:1\r\n", "200"),
        ("host: evil.example\r\n", "403"),
        ("host: 127.0.0.1\r\norigin: https://evil.example\r\n", "403"),
        ("host: 127.0.0.1\r\norigin: http://localhost:3000\r\n", "200"),
        ("host: 127.0.0.1\r\norigin: null\r\n", "403"),
        ("host: localhost\r\nhost: evil.example\r\n", "400"),
        ("", "400"),
    ] {
        let answer = bench.raw(format!("GET /healthz HTTP/1.1\r\n{headers}connection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
        assert!(answer.contains("x-portcullis-id") && answer.contains("x-portcullis-mode"), "{headers}: {answer}");
    }
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let bench = Bench::new().await;
    let good = String::from_utf8(request("POST", "/v1/inspect", AGENT, br#"{"tool":"t"}"#)).unwrap();
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(100_000));
    let many_headers = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let long_header = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &format!("{good}GARBAGE GARBAGE\r\n\r\n"),
        "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        &long_target,
        &many_headers,
        &long_header,
    ] {
        let mut client = bench.client().await;
        // The server may answer and close before everything is sent.
        let _ = client.0.write_all(garbage.as_bytes()).await;
        let _ = client.0.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), client.0.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "hangs: {garbage:.40}");
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("HTTP/1.1 500"), "{garbage:.40}");
        let (answers, named) = (answer.matches("HTTP/1.1 ").count(), answer.matches("x-portcullis-id: ").count());
        assert_eq!(answers, named, "{garbage:.40}: every answer is in our form: {answer}");
        assert_eq!(bench.inspect(AGENT, r#"{"tool":"t"}"#).await.status, 200);
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_explained() {
    let bench = Bench::new().await;
    let many = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for (head, status) in [("nonsense\r\n\r\n", 400), ("GET / HTTP/1.1\r\nbad header\r\n\r\n", 400), (&many, 431)] {
        let mut client = bench.client().await;
        client.0.write_all(head.as_bytes()).await.unwrap();
        let answer = client.answer().await;
        assert_eq!(answer.check_head().status, status, "{head:.30}");
    }
}

#[tokio::test]
async fn pipelined_questions_are_answered_in_order() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    let mut bytes = Vec::new();
    for word in ["a", "DENY", "SECRET"] {
        bytes.extend(request(
            "POST",
            "/v1/inspect",
            AGENT,
            format!(r#"{{"tool":"t","arguments":"{word}"}}"#).as_bytes(),
        ));
    }
    client.0.write_all(&bytes).await.unwrap();
    let mut seen = Vec::new();
    let mut text = String::new();
    while seen.len() < 3 {
        let mut chunk = vec![0; 8192];
        let length = tokio::time::timeout(Duration::from_secs(10), client.0.read(&mut chunk)).await.unwrap().unwrap();
        assert!(length > 0);
        text.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        seen = text.split("\"verdict\":\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    }
    assert_eq!(seen, ["allow", "deny", "redact"]);
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answer() {
    let bench = Bench::new().await;
    let mut client = bench.client().await;
    client.0.write_all(&request("POST", "/v1/inspect", AGENT, br#"{"tool":"t"}"#)).await.unwrap();
    client.0.shutdown().await.unwrap();
    assert_eq!(client.answer().await.status, 200);
    // Half a request is nothing.
    let mut client = bench.client().await;
    client.0.write_all(b"POST /v1/inspect HTTP/1.1\r\nhost: localhost\r\ncontent-le").await.unwrap();
    client.0.shutdown().await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), client.0.read_to_end(&mut rest)).await.expect("no hang").unwrap();
    // Half a body neither.
    let mut client = bench.client().await;
    let whole = request("POST", "/v1/inspect", AGENT, br#"{"tool":"t"}"#);
    client.0.write_all(&whole[..whole.len() - 4]).await.unwrap();
    client.0.shutdown().await.unwrap();
    assert_eq!(client.answer().await.check_head().status, 400);
    assert_eq!(bench.entries("acme").len(), 1);
}

/// Answers after a while, and says when nobody waited for it.
struct Slow {
    takes: Duration,
    left: tokio::sync::mpsc::UnboundedSender<()>,
}

struct Waiting<'a>(Option<&'a Slow>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(slow) = self.0 {
            slow.left.send(()).unwrap();
        }
    }
}

impl Mount for Slow {
    fn prefix(&self) -> &'static str {
        "/slow"
    }

    fn handle(&self, _: Request<RequestBody>, _: PeerInfo) -> BoxFuture<'_, Reply> {
        Box::pin(async {
            let mut waiting = Waiting(Some(self));
            tokio::time::sleep(self.takes).await;
            waiting.0 = None;
            Response::new(Body::from("done"))
        })
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_the_answer_of_a_mount() {
    let (left, mut leaves) = tokio::sync::mpsc::unbounded_channel();
    let slow = Slow { takes: Duration::from_millis(300), left };
    let bench = Bench::with(Setup { mounts: vec![Arc::new(slow)], ..Setup::default() }).await;
    let mut client = bench.client().await;
    client.0.write_all(&request("POST", "/slow", AGENT, b"")).await.unwrap();
    client.0.shutdown().await.unwrap();
    assert_eq!(client.answer().await.text, "done");
    assert!(leaves.try_recv().is_err());
}

#[tokio::test]
async fn a_mount_is_not_kept_busy_for_a_client_that_has_gone() {
    let (left, mut leaves) = tokio::sync::mpsc::unbounded_channel();
    let slow = Slow { takes: Duration::from_secs(600), left };
    let bench = Bench::with(Setup { mounts: vec![Arc::new(slow)], ..Setup::default() }).await;
    let started = Instant::now();
    for reset in [true, false] {
        let mut client = bench.client().await;
        client.0.write_all(&request("POST", "/slow", AGENT, b"")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        if reset {
            socket2::SockRef::from(&client.0).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
        tokio::time::timeout(Duration::from_secs(20), leaves.recv()).await.expect("noticed").unwrap();
        assert!(!reset || started.elapsed() < Duration::from_secs(4), "a reset is noticed at once");
    }
}

#[tokio::test]
async fn slow_clients_are_given_up() {
    let mut setup = Setup { body_timeout: Duration::from_millis(400), ..Setup::default() };
    setup.server.read_timeout = Duration::from_millis(400);
    let bench = Bench::with(setup).await;
    // A head that comes letter by letter.
    let mut client = bench.client().await;
    let started = Instant::now();
    let drip = async {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: yes, very very very slow\r\n".iter().cycle() {
            if client.0.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
            let mut byte = [0];
            if client.0.try_read(&mut byte).is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), drip).await.expect("the connection ends");
    assert!(started.elapsed() < Duration::from_secs(3));
    // A body that stops.
    let mut client = bench.client().await;
    let whole = request("POST", "/v1/inspect", AGENT, br#"{"tool":"t"}"#);
    client.0.write_all(&whole[..whole.len() - 3]).await.unwrap();
    let answer = client.answer().await;
    assert_eq!((answer.check_head().status, answer.code().as_str()), (408, "too_slow"));
    // Nothing at all.
    let mut client = bench.client().await;
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), client.0.read_to_end(&mut rest)).await.expect("ended").unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let mut setup = Setup::default();
    setup.server.write_timeout = Duration::from_millis(300);
    setup.server.read_timeout = Duration::from_secs(300);
    let bench = Bench::with(setup).await;
    // Small enough that the answer does not fit into the buffers of the two ends.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(bench.address).await.unwrap();
    let body = format!(r#"{{"tool":"t","arguments":"SECRET {}"}}"#, "x".repeat(4_000_000));
    stream.write_all(&request("POST", "/v1/inspect", AGENT, body.as_bytes())).await.unwrap();
    let ended = async {
        while !bench.get("/metrics", "").await.text.contains("portcullis_http_connections_open 1\n") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("only the asking connection is left");
    assert_eq!(bench.entries("acme").len(), 1);
    drop(stream);
}

#[tokio::test]
async fn a_flood_of_connections_is_bounded_and_passes() {
    let mut setup = Setup::default();
    setup.server.connections = 8;
    setup.server.read_timeout = Duration::from_millis(500);
    let bench = Bench::with(setup).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(bench.client().await);
    }
    // The idle ones time out and make room, group by group.
    let answer = tokio::time::timeout(Duration::from_secs(30), bench.inspect(AGENT, r#"{"tool":"t"}"#)).await;
    assert_eq!(answer.expect("an answer").status, 200);
    let figures = bench.get("/metrics", "").await.text;
    let open = figures.lines().find(|line| line.starts_with("portcullis_http_connections_open")).unwrap();
    let open: u32 = open.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(open <= 8, "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_payloads_wait_for_a_place() {
    let bench = Bench::with(Setup { heavy: 1, ..Setup::default() }).await;
    *bench.judge.pause.lock().unwrap() = Duration::from_millis(50);
    let body = format!(r#"{{"tool":"t","arguments":"{}"}}"#, "x".repeat(100_000));
    let answers = futures_util::future::join_all((0..4).map(|_| bench.inspect(AGENT, &body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_large_payloads_are_refused_and_recorded() {
    let bench = Bench::with(Setup { heavy: 1, heavy_wait: Duration::from_millis(100), ..Setup::default() }).await;
    *bench.judge.pause.lock().unwrap() = Duration::from_millis(400);
    let body = format!(r#"{{"tool":"t","arguments":"{}"}}"#, "x".repeat(100_000));
    let asks = (0..4).map(|_| bench.inspect(AGENT, &body));
    let answers = futures_util::future::join_all(asks).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503, 503]);
    let busy = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert_eq!((busy.check_head().code().as_str(), busy.headers["retry-after"].as_str()), ("busy", "1"));
    assert_eq!(bench.count("acme", portcullis_model::EntryKind::Refusal), 3);
}

#[tokio::test]
async fn small_calls_whose_plugins_may_take_long_need_a_place_and_others_none() {
    let bench = Bench::with(Setup { heavy: 0, heavy_wait: Duration::from_millis(10), ..Setup::default() }).await;
    let body = r#"{"tool":"t"}"#;
    bench.judge.long.store(true, Ordering::SeqCst);
    let busy = bench.inspect(AGENT, body).await;
    assert_eq!((busy.status, busy.check_head().code().as_str()), (503, "busy"));
    bench.judge.long.store(false, Ordering::SeqCst);
    assert_eq!(bench.inspect(AGENT, body).await.status, 200);
}
