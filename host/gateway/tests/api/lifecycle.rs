//! Start and end of a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_gateway::api::{Api, ApiConfig};
use portcullis_gateway::http::{Drained, ServeError, Server, ServerConfig, Tls};
use portcullis_gateway::ports::Reload;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::*;
use crate::tls::Pki;

#[tokio::test]
async fn plain_http_is_served_on_loopback_addresses_only() {
    let bench = Bench::new().await;
    let reload: Arc<dyn Reload> = Arc::clone(&bench.reloads) as Arc<dyn Reload>;
    let api = Arc::new(Api::new(Arc::clone(&bench.gate), reload, Vec::new(), &ApiConfig::default()));
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = Server::bind(address.parse().unwrap(), ServerConfig::default(), Arc::clone(&api));
        let error = refused.err().expect(address);
        assert!(matches!(error, ServeError::NotLoopback(_)), "{error}");
        assert!(error.to_string().contains("has no TLS"), "{error}");
    }
    let spelled_out = ServerConfig { plain_beyond_loopback: true, ..ServerConfig::default() };
    Server::bind("0.0.0.0:0".parse().unwrap(), spelled_out, Arc::clone(&api)).expect("as its operator says");
    let taken = Server::bind(bench.address, ServerConfig::default(), api).err().expect("taken");
    assert!(taken.to_string().contains(&bench.address.to_string()), "{taken}");
}

#[tokio::test]
async fn an_open_server_is_served_on_loopback_addresses_only() {
    let bench = Bench::with(Setup { open: true, ..Setup::default() }).await;
    let pki = Pki::new();
    let tls = Arc::new(Tls::new(pki.files().read().unwrap(), Arc::clone(bench.gate.metrics())));
    let reload: Arc<dyn Reload> = Arc::clone(&bench.reloads) as Arc<dyn Reload>;
    let api = Arc::new(Api::new(Arc::clone(&bench.gate), reload, Vec::new(), &ApiConfig::default()));
    let with_tls = ServerConfig { tls: Some(tls), ..ServerConfig::default() };
    let plain = ServerConfig { plain_beyond_loopback: true, ..ServerConfig::default() };
    for config in [with_tls.clone(), plain] {
        let refused = Server::bind("0.0.0.0:0".parse().unwrap(), config, Arc::clone(&api));
        let error = refused.err().expect("everybody could call");
        assert!(matches!(error, ServeError::Open(_)), "{error}");
        assert!(error.to_string().contains("[[tenant]]"), "{error}");
    }
    Server::bind("127.0.0.1:0".parse().unwrap(), with_tls, api).expect("loopback is open to all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_answers_what_is_in_flight() {
    let mut bench = Bench::new().await;
    *bench.judge.pause.lock().unwrap() = Duration::from_millis(300);
    let mut idle = bench.client().await;
    assert_eq!(idle.ask("GET", "/healthz", "", b"").await.status, 200);
    let mut busy = bench.client().await;
    busy.0.write_all(&request("POST", "/v1/inspect", AGENT, br#"{"tool":"t"}"#)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.stop();
    let answer = busy.answer().await;
    assert_eq!(answer.status, 200);
    let journal = Arc::clone(&bench.journal);
    let address = bench.address;
    assert_eq!(bench.stopped().await, Drained::Complete);
    assert!(TcpStream::connect(address).await.is_err(), "no connection is taken any more");
    let mut rest = Vec::new();
    idle.0.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "an idle connection is closed without a word");
    assert_eq!(journal.ledger.entries("acme", 0, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn a_drain_ends_event_streams_and_held_answers() {
    let mut bench = Bench::new().await;
    let mut events = bench.client().await;
    events.0.write_all(&request("GET", "/v1/events", AGENT, b"")).await.unwrap();
    let mut held = bench.client().await;
    let body = br#"{"tool":"t","arguments":"REVIEW","wait_ms":600000}"#;
    held.0.write_all(&request("POST", "/v1/inspect", AGENT, body)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.stop();
    assert_eq!(held.answer().await.json()["approval"]["state"], "pending");
    let mut rest = Vec::new();
    events.0.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends in order: {}", String::from_utf8_lossy(&rest));
    assert_eq!(bench.stopped().await, Drained::Complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_has_a_limit() {
    let mut setup = Setup::default();
    setup.server.drain = Duration::from_millis(300);
    let mut bench = Bench::with(setup).await;
    *bench.judge.pause.lock().unwrap() = Duration::from_secs(2);
    let mut busy = bench.client().await;
    // Large enough to be judged beside the runtime, so that only this call is slow.
    let body = format!(r#"{{"tool":"t","arguments":"{}"}}"#, "x".repeat(100_000));
    busy.0.write_all(&request("POST", "/v1/inspect", AGENT, body.as_bytes())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    bench.stop();
    assert_eq!(bench.stopped().await, Drained::Cut(1));
    assert!(started.elapsed() < Duration::from_millis(1500));
}

#[tokio::test]
async fn a_restart_finds_everything() {
    let bench = Bench::new().await;
    let parked = bench.inspect(AGENT, r#"{"tool":"pay","arguments":"REVIEW"}"#).await.json();
    let head = bench.get("/v1/ledger/head", AGENT).await.json();
    let bench = bench.restarted().await;
    assert_eq!(bench.get("/v1/ledger/head", AGENT).await.json(), head);
    let id = parked["approval"]["id"].as_str().unwrap();
    assert_eq!(bench.get(&format!("/v1/approvals/{id}"), AGENT).await.json(), parked["approval"]);
    let again = bench.inspect(AGENT, r#"{"tool":"pay","arguments":"REVIEW"}"#).await.json();
    assert_eq!(again["approval"]["id"], parked["approval"]["id"]);
}
