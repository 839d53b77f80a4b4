//! The rows that need the whole server.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use test_suite::{Server, Setup};

use crate::figures::{Figure, quantile};
use crate::load::closed_loop;
use crate::proxy::token;
use crate::{Arguments, Row};

/// Four plugins, for which the bars are set; the baseline policy has twice as many.
pub(crate) const FOUR: &str = r#"
name = "four"

[[plugins]]
name = "detector-injection"
limits = { fuel = 8_000_000_000, memory_mib = 256, deadline_ms = 5_000 }

[[plugins]]
name = "detector-commands"
limits = { fuel = 4_000_000_000, memory_mib = 128, deadline_ms = 5_000 }
select = { phases = ["call"] }

[[plugins]]
name = "detector-secrets"
limits = { fuel = 4_000_000_000, memory_mib = 128, deadline_ms = 5_000 }

[[plugins]]
name = "rule-baseline"
limits = { deadline_ms = 1_000 }

[router]
name = "router-default"
limits = { deadline_ms = 1_000 }
"#;

/// A server with some tenants that have this policy, and one agent each.
fn setup(policy: &str, tenants: usize, agent: &str) -> Result<Setup> {
    let mut config = String::new();
    for tenant in 0..tenants {
        writeln!(
            config,
            "[[tenant]]\nname = \"t{tenant}\"\npolicy = \"{policy}\"\n[[tenant.agent]]\nname = \"a\"\n{agent}"
        )?;
    }
    let files = vec![("packs/four/pack.toml".to_owned(), FOUR.as_bytes().to_vec())];
    Ok(Setup { config: Some(config), files, ..Setup::default() })
}

/// About 1 KiB of harmless arguments.
pub(crate) fn arguments() -> String {
    let text = "The quarterly report lists revenue by region and the notes explain each change against the plan. ";
    json!({ "path": "reports/q3.txt", "mode": "append", "content": text.repeat(10) }).to_string()
}

fn request(path: &str, bearer: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {bearer}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) fn rows(settings: &Arguments) -> Result<Vec<Row>> {
    let mut rows = inspect(settings)?;
    rows.push(cold_start(settings.runs)?);
    rows.extend(memory(settings.runs)?);
    Ok(rows)
}

fn inspect(settings: &Arguments) -> Result<Vec<Row>> {
    let (token, digest) = token()?;
    let (agent, bearer) = (format!("token_sha256 = [\"{digest}\"]"), format!("Bearer {token}"));
    let policies = [("4 plugins", "packs/four", "10,000 /s / 20,000 /s"), ("baseline policy", "baseline", "")];
    let mut rows = Vec::new();
    for (what, policy, bar) in policies {
        let server = Server::start(&setup(policy, 1, &agent)?)?;
        let address = server.url.strip_prefix("http://").context("a plain address")?.to_owned();
        let body = format!(r#"{{"tool":"write_file","arguments":{}}}"#, arguments());
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let answer = server.request("POST", "/v1/inspect", &headers, body.as_bytes())?.json()?;
        ensure!(
            answer.get("verdict").is_some_and(|verdict| verdict == "allow"),
            "the measured call is allowed: {answer}"
        );
        let request = request("/v1/inspect", &bearer, &body);
        for connections in [1, 64] {
            closed_loop(&address, &request, connections, Duration::from_secs(1))?;
            let (mut rate, mut p50, mut p99) = (Figure::default(), Figure::default(), Figure::default());
            for _ in 0..settings.runs {
                let run = closed_loop(&address, &request, connections, Duration::from_secs(settings.seconds))?;
                rate.push(run.rate);
                p50.push(quantile(&run.latencies, 0.5));
                p99.push(quantile(&run.latencies, 0.99));
            }
            let bar = if connections == 64 { bar } else { "" };
            let what =
                format!("inspect API, {what}, closed loop, {connections} connection(s), client on the same cores");
            rows.push(Row::new(what, format!("{rate} calls/s; p50 {p50} ms, p99 {p99} ms"), bar));
        }
        let memory = format!("{:.1} MiB", resident(server.pid())?);
        rows.push(Row::new(format!("resident memory after that load, {what}"), memory, ""));
    }
    Ok(rows)
}

fn cold_start(runs: usize) -> Result<Row> {
    let call = json!({ "tool": "read_file", "arguments": { "path": "a.txt" } });
    let first = Server::start(&Setup::default())?;
    first.inspect(&call)?;
    let (mut folder, _) = first.terminate()?;
    let mut time = Figure::default();
    for _ in 0..runs {
        let started = Instant::now();
        let server = Server::start_in(folder, &Setup::default())?;
        server.inspect(&call)?;
        time.push(started.elapsed().as_secs_f64() * 1e3);
        (folder, _) = server.terminate()?;
    }
    Ok(Row::new("cold start to first verdict, compiled plugins cached", format!("{time} ms"), "300 ms / 100 ms"))
}

fn memory(runs: usize) -> Result<Vec<Row>> {
    let mut idle = Vec::new();
    for tenants in [10, 1000] {
        let setup = setup("packs/four", tenants, "token_sha256 = []")?;
        let mut figure = Figure::default();
        for _ in 0..runs.min(3) {
            let (folder, _) = Server::start(&setup)?.terminate()?;
            let server = Server::start_in(folder, &setup)?;
            std::thread::sleep(Duration::from_millis(500));
            figure.push(resident(server.pid())?);
        }
        idle.push(figure);
    }
    let [ten, thousand] = idle.as_slice() else { return Ok(Vec::new()) };
    let each = (thousand.median() - ten.median()) * 1024.0 / 990.0;
    Ok(vec![
        Row::new("resident memory, idle, 4 plugins, 10 tenants", format!("{ten} MiB"), "60 MiB / 35 MiB"),
        Row::new(
            "resident memory, idle, 4 plugins, 1,000 tenants",
            format!("{thousand} MiB, so {each:.1} KiB per tenant"),
            "+64 KiB / +16 KiB per tenant",
        ),
    ])
}

/// MiB of memory the process holds.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
