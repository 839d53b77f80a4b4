//! Pipelines that are swapped under load: what a swap costs, and what calls notice of it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use test_suite::{Server, Setup};

use crate::figures::{Figure, quantile};
use crate::load::closed_loop;
use crate::server::arguments;
use crate::{Arguments, Row};

const AGENT: &str = "agent-token-of-the-bench";
const OPERATOR: &str = "operator-token-of-the-bench";
/// Connections that make calls meanwhile.
const CONNECTIONS: usize = 8;

fn configuration(twice: bool) -> String {
    let hash = |token: &str| portcullis_model::Digest::of(token.as_bytes());
    format!(
        "[[tenant]]\nname = \"acme\"\npolicy = \"baseline\"\ninspect_redacted = {twice}\n\n[[tenant.agent]]\nname = \
         \"bench\"\ntoken_sha256 = [\"{}\"]\n\n[[tenant.operator]]\nname = \"ana\"\ntoken_sha256 = [\"{}\"]\nroles = \
         [\"admin\"]\n",
        hash(AGENT),
        hash(OPERATOR)
    )
}

pub(crate) fn rows(settings: &Arguments) -> Result<Vec<Row>> {
    let server = Server::start(&Setup { config: Some(configuration(false)), ..Setup::default() })?;
    fs::write(server.folder().join("portcullis.toml"), configuration(true))?;
    let bearer = format!("Bearer {OPERATOR}");
    let post = |path: &str| -> Result<f64> {
        let started = Instant::now();
        let answer = server.request("POST", path, &[("authorization", bearer.as_str())], b"")?;
        ensure!(answer.status == 200, "{path}: {}", answer.text());
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    post("/v1/generations")?;
    let address = server.url.strip_prefix("http://").context("a plain address")?;
    let body = format!(r#"{{"tool":"write_file","arguments":{}}}"#, arguments());
    let request = format!(
        "POST /v1/inspect HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {AGENT}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let length = Duration::from_secs(settings.seconds);
    let load = || closed_loop(address, request.as_bytes(), CONNECTIONS, length);
    load()?;
    let mut quiet = [Figure::default(), Figure::default()];
    let mut busy = [Figure::default(), Figure::default()];
    let (mut swap, mut swaps) = ([Figure::default(), Figure::default()], 0);
    let push = |figures: &mut [Figure; 2], times: &[f64]| {
        let [p50, p99] = figures;
        p50.push(quantile(times, 0.5));
        p99.push(quantile(times, 0.99));
    };
    for _ in 0..settings.runs {
        push(&mut quiet, &load()?.latencies);
        let done = AtomicBool::new(false);
        let (run, times) = std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                let mut times = Vec::new();
                while !done.load(Ordering::Acquire) {
                    times.push(post("/v1/generations/rollback")?);
                }
                anyhow::Ok(times)
            });
            let run = load();
            done.store(true, Ordering::Release);
            let times = swapping.join().map_err(|_| anyhow::anyhow!("the swapping thread panicked"))?;
            anyhow::Ok((run?, times?))
        })?;
        push(&mut busy, &run.latencies);
        swaps += times.len();
        push(&mut swap, &times);
    }
    let line = |[p50, p99]: &[Figure; 2]| format!("p50 {p50} ms, p99 {p99} ms");
    Ok(vec![
        Row::new(format!("calls, {CONNECTIONS} connections, one pipeline"), line(&quiet), ""),
        Row::new(
            format!("the same while the pipeline is swapped all the time ({swaps} swaps in all), none lost"),
            line(&busy),
            "",
        ),
        Row::new("one swap by HTTP under that load, durable before it takes effect", line(&swap), ""),
    ])
}
