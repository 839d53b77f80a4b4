//! `portcullis ledger …`: through the server that runs on the data folder, or on the folder itself when none does.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use portcullis_ledger::{Ledger, LedgerConfig};
use portcullis_ledger_verify::{End, FORMAT, FORMAT_VERSION, Head, Header, Line, Report, Row, Verifier};
use portcullis_model::{Digest, Entry, is_unseen, leaf_hash};
use serde_json::Value;

use super::Settings;
use crate::cli::{self, ExportFormat, Log};
use crate::remote::{Running, Server};

mod clavenar;

/// Entries fetched at a time.
const PAGE: usize = 500;

pub(crate) fn run(command: &cli::Ledger) -> Result<ExitCode> {
    match command {
        cli::Ledger::Show { log, from, limit } => show(log, *from, *limit),
        cli::Ledger::Verify { log } => verify(log),
        cli::Ledger::Head { log } => head(log),
        cli::Ledger::Export { log, output, format: ExportFormat::Portcullis } => export(log, output),
        cli::Ledger::Export { log, output, format: ExportFormat::Clavenar } => clavenar::export(log, output),
        cli::Ledger::Answers { log, digest } => answers(log, *digest),
        cli::Ledger::Payload { log, seq } => payload(log, *seq),
    }
}

/// Where a tenant's log is read.
enum Source {
    Running(Server),
    Folder(Box<Ledger>),
}

impl Source {
    fn open(log: &Log) -> Result<Self> {
        let settings = Settings::read(&log.place)?;
        let data = settings.data()?;
        if let Some(running) = Running::find(&data) {
            return Ok(Self::Running(running.server(Some(running.token(&log.tenant)))));
        }
        anyhow::ensure!(data.join("ledger").is_dir(), "{}: there is no ledger here", data.display());
        Ok(Self::Folder(Box::new(Ledger::open(LedgerConfig::new(data))?)))
    }

    fn head(&self, tenant: &str) -> Result<Option<Head>> {
        match self {
            Self::Running(server) => {
                let answer = server.get("/v1/ledger/head")?;
                let (Some(seq), Some(hash)) = (answer.get("seq").and_then(Value::as_u64), answer.get("hash")) else {
                    return Ok(None);
                };
                let hash = serde_json::from_value(hash.clone()).context("the head's hash")?;
                Ok(Some(Head { tenant: tenant.into(), seq, hash }))
            }
            Self::Folder(ledger) => Ok(ledger.head(tenant)),
        }
    }

    /// At most `limit` entries from `from` on: as shown, and as hashed.
    fn entries(&self, tenant: &str, from: u64, limit: usize) -> Result<Vec<(Value, Vec<u8>)>> {
        match self {
            Self::Running(server) => {
                let answer = server.get(&format!("/v1/ledger/entries?from={from}&limit={limit}"))?;
                let entries = answer.get("entries").and_then(Value::as_array).context("the server sent no entries")?;
                entries.iter().map(received).collect()
            }
            Self::Folder(ledger) => {
                let stored = ledger.entries(tenant, from, limit)?;
                stored.into_iter().map(|row| Ok((shown(&row.entry, row.hash)?, row.bytes))).collect()
            }
        }
    }

    /// Every entry up to the head, in order.
    fn each(&self, tenant: &str, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<Option<Head>> {
        let head = self.head(tenant)?;
        let mut next = 0;
        while head.as_ref().is_some_and(|head| next <= head.seq) {
            let page = self.entries(tenant, next, PAGE)?;
            anyhow::ensure!(!page.is_empty(), "entry {next} is missing");
            for (_, bytes) in page {
                if head.as_ref().is_some_and(|head| next <= head.seq) {
                    take(&bytes)?;
                }
                next += 1;
            }
        }
        Ok(head)
    }
}

/// An entry as the API sends it, and its canonical bytes, made again and compared with the hash that came along.
fn received(row: &Value) -> Result<(Value, Vec<u8>)> {
    let entry = row.get("entry").context("a row without an entry")?;
    let entry: Entry = serde_json::from_value(entry.clone()).context("an entry that this build does not know")?;
    let bytes = entry.encode()?;
    let hash = leaf_hash(&bytes);
    anyhow::ensure!(
        row.get("hash") == Some(&serde_json::to_value(hash)?),
        "entry {}: its hash does not fit it",
        entry.seq
    );
    Ok((shown(&entry, hash)?, bytes))
}

fn shown(entry: &Entry, hash: Digest) -> Result<Value> {
    let mut value = serde_json::to_value(entry)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("hash".to_owned(), serde_json::to_value(hash)?);
    }
    Ok(value)
}

fn show(log: &Log, from: Option<u64>, limit: usize) -> Result<ExitCode> {
    let source = Source::open(log)?;
    let newest = source.head(&log.tenant)?.map_or(0, |head| head.seq + 1);
    let mut next = from.unwrap_or_else(|| newest.saturating_sub(limit as u64));
    if from.is_none() && next > 0 && !log.json {
        // Not where the entries go.
        eprintln!("… {next} entries before these: --from 0 or --limit shows more");
    }
    let mut left = limit;
    let mut out = BufWriter::new(io::stdout().lock());
    while left > 0 {
        let page = source.entries(&log.tenant, next, left.min(PAGE))?;
        if page.is_empty() {
            break;
        }
        next += page.len() as u64;
        left = left.saturating_sub(page.len());
        for (entry, _) in &page {
            if log.json {
                writeln!(out, "{entry}")?;
            } else {
                writeln!(out, "{}", line(entry))?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The text with twelve digits of each digest.
fn shortened(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|digit: char| !digit.is_ascii_hexdigit()).unwrap_or(part.len());
        match part.split_at(end) {
            (digest, rest) if end == 64 => {
                out.push_str(digest.get(..12).unwrap_or(digest));
                out.push_str(rest);
            }
            _ => {
                out.push_str("sha256:");
                out.push_str(part);
            }
        }
    }
    out
}

/// One entry for people.
fn line(entry: &Value) -> String {
    let text = |key: &str| printable(entry.get(key).and_then(Value::as_str).unwrap_or("-"));
    let number = |key: &str| entry.get(key).and_then(Value::as_u64).unwrap_or(0);
    let reasons: Vec<&str> = entry
        .get("reasons")
        .and_then(Value::as_array)
        .map(|reasons| reasons.iter().filter_map(|reason| reason.get("code")?.as_str()).collect())
        .unwrap_or_default();
    let what = entry.get("outcome").or_else(|| entry.get("decision")).and_then(Value::as_str).unwrap_or("-");
    let hash = text("hash");
    let hash = hash.strip_prefix("sha256:").unwrap_or(&hash);
    let note = text("note");
    let generation = text("generation");
    let note = match (&*text("kind"), &*note) {
        ("activation" | "trial", note) => format!("  {}: {}", shortened(&generation), shortened(note)),
        (_, "-") => String::new(),
        (_, note) => format!("  {}", shortened(note)),
    };
    format!(
        "{:>6}  {}  {:<10} {:<9} {:<14} {:<24} {:<28} {}{note}",
        number("seq"),
        time(number("time_ms")),
        text("kind"),
        what,
        text("agent"),
        text("tool"),
        reasons.join(","),
        hash.get(..12).unwrap_or(hash),
    )
}

/// What an agent named cannot steer the reader's terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// RFC 3339 in UTC, to the second.
fn time(ms: u64) -> String {
    let time = i64::try_from(ms / 1000).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

fn verify(log: &Log) -> Result<ExitCode> {
    let source = Source::open(log)?;
    let report = match &source {
        Source::Folder(ledger) => ledger.verify(&log.tenant)?,
        Source::Running(_) => fetch_and_verify(&source, &log.tenant)?,
    };
    if log.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Verifies here what a running server sends, so that its own word is not needed.
fn fetch_and_verify(source: &Source, tenant: &str) -> Result<Report> {
    let mut verifier = Verifier::new(Some(tenant));
    let head = source.each(tenant, |bytes| {
        verifier.push(bytes);
        Ok(())
    })?;
    if let Some(head) = &head {
        verifier.expect_head(head);
    }
    Ok(verifier.finish())
}

fn head(log: &Log) -> Result<ExitCode> {
    let head = Source::open(log)?.head(&log.tenant)?;
    match (&head, log.json) {
        (_, true) => println!("{}", serde_json::to_string(&head)?),
        (Some(head), false) => println!("{} {}", head.seq, head.hash),
        (None, false) => println!("the log of {} is empty", log.tenant),
    }
    Ok(ExitCode::SUCCESS)
}

/// The sealed payload of an entry, from the folder itself: its keys never leave it.
fn payload(log: &Log, seq: u64) -> Result<ExitCode> {
    let Source::Folder(ledger) = Source::open(log)? else {
        anyhow::bail!("a server runs on this data folder; payloads are opened only while none does");
    };
    let payload = ledger.open_evidence(&log.tenant, seq)?;
    let payload = payload.with_context(|| {
        format!("entry {seq} of {} has no sealed payload: it was kept only as a commitment, or erased", log.tenant)
    })?;
    io::stdout().lock().write_all(&[payload.as_slice(), b"\n"].concat())?;
    Ok(ExitCode::SUCCESS)
}

/// What a plugin was told. The digest is made again here, so that a server's word is not needed.
fn answers(log: &Log, digest: Digest) -> Result<ExitCode> {
    let told = match Source::open(log)? {
        Source::Folder(ledger) => ledger.told(&log.tenant, digest)?.with_context(|| {
            format!(
                "nothing of {digest} is kept for {}: it was not asked for, or its time is over, or it was erased",
                log.tenant
            )
        })?,
        Source::Running(server) => {
            let answer = server.get(&format!("/v1/ledger/answers/{digest}"))?;
            let told = answer.get("told").and_then(Value::as_str).context("the server sent nothing")?;
            told.as_bytes().to_vec()
        }
    };
    anyhow::ensure!(Digest::of(&told) == digest, "what is kept is not what has the digest {digest}");
    if log.json {
        let lines = std::str::from_utf8(&told)?.lines().map(serde_json::from_str::<Value>);
        println!("{}", serde_json::to_string(&lines.collect::<Result<Vec<_>, _>>()?)?);
    } else {
        // As it is: its SHA-256 is the digest.
        io::stdout().lock().write_all(&told)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn export(log: &Log, output: &Path) -> Result<ExitCode> {
    let source = Source::open(log)?;
    let out: Box<dyn Write> = if output.as_os_str() == "-" {
        Box::new(io::stdout().lock())
    } else {
        Box::new(File::create(output).with_context(|| format!("{}: cannot be written", output.display()))?)
    };
    let mut out = BufWriter::new(out);
    if let Source::Folder(ledger) = &source {
        ledger.export(&log.tenant, &mut out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let header = Header {
        format: FORMAT.to_owned(),
        version: FORMAT_VERSION,
        tenant: log.tenant.as_str().into(),
        from: 0,
        prev: Digest::default(),
    };
    writeln!(out, "{}", serde_json::to_string(&header)?)?;
    let head = source.each(&log.tenant, |bytes| {
        writeln!(out, "{}", serde_json::to_string(&Line::Row(Row::new(bytes)))?)?;
        Ok(())
    })?;
    writeln!(out, "{}", serde_json::to_string(&Line::End(End { head }))?)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{line, time};

    #[test]
    fn what_an_agent_named_does_not_steer_the_terminal() {
        let entry = json!({ "seq": 7, "tool": "evil\u{1b}[2J\n     8  forged \u{202e}row", "agent": "a\rb" });
        let line = line(&entry);
        assert!(
            line.contains("evil\u{fffd}[2J\u{fffd}     8  forged \u{fffd}row") && line.contains("a\u{fffd}b"),
            "{line:?}"
        );
    }

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_795_219_199_999), "2026-11-20T23:59:59Z");
    }
}
