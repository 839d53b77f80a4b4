//! A writer in a process of its own, for tests that end it: this very test binary, started again with a folder to write.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use portcullis_ledger::{Attachment, Evidence, Record};
use portcullis_model::{Digest, Document};

use super::{draft, open};

const FOLDER: &str = "LEDGER_TEST_CHILD_FOLDER";
const CALLERS: &str = "LEDGER_TEST_CHILD_CALLERS";
/// Tenants that the child writes for.
pub(crate) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// An entry that the child said was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) tenant: String,
    pub(crate) seq: u64,
    pub(crate) hash: Digest,
}

impl Ack {
    /// Reads a line of the child.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("ack ")?.split_whitespace();
        let (tenant, seq, hash) = (words.next()?, words.next()?, words.next()?);
        Some(Self { tenant: tenant.to_owned(), seq: seq.parse().ok()?, hash: hash.parse().ok()? })
    }
}

/// The command that starts the child; `wrapper` goes in front of it.
pub(crate) fn command(wrapper: &[&str], folder: &Path, callers: usize) -> Command {
    let own = std::env::current_exe().unwrap().into_os_string();
    let mut words = wrapper.iter().map(Into::into).chain([own]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(CALLERS, callers.to_string());
    command
}

/// In the child: appends until it is ended. In the test: nothing.
pub(crate) fn run_if_child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let callers = std::env::var(CALLERS).unwrap().parse().unwrap();
    let ledger = open(&folder);
    let numbers = Arc::new(AtomicU64::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for caller in 0..callers {
            let (ledger, numbers) = (ledger.clone(), Arc::clone(&numbers));
            tokio::spawn(async move {
                loop {
                    let number = numbers.fetch_add(1, Relaxed);
                    let mut draft = draft(TENANTS[(caller + number as usize) % TENANTS.len()], number);
                    let mut attach = vec![Attachment::Record(Record {
                        key: format!("test/{}", number % 50).into_bytes(),
                        value: (!number.is_multiple_of(7)).then(|| vec![7; 300]),
                    })];
                    if number % 40 == 20 {
                        draft.payload = Some(Arc::new(Document::string(&"long ".repeat(20_000))));
                        attach.push(Attachment::Evidence(Evidence::Sealed));
                    }
                    let receipt = ledger.append_with(draft, attach).await.unwrap();
                    let line = format!("ack {} {} {}\n", receipt.tenant, receipt.seq, receipt.hash);
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
    });
}

/// Every acknowledged entry must be there, every log must verify, and the evidence must open.
pub(crate) fn check(folder: &Path, acks: &[Ack]) -> Result<(), String> {
    let ledger = portcullis_ledger::Ledger::open(portcullis_ledger::LedgerConfig::new(folder))
        .map_err(|error| format!("does not open: {}", super::chain(&error)))?;
    for tenant in TENANTS {
        let report = ledger.verify(tenant).map_err(|error| super::chain(&error))?;
        if !report.is_good() {
            return Err(report.to_string());
        }
        let rows = ledger.entries(tenant, 0, usize::MAX).map_err(|error| super::chain(&error))?;
        let own: Vec<_> = acks.iter().filter(|ack| ack.tenant == tenant).collect();
        let lost = own.iter().filter(|ack| rows.get(ack.seq as usize).is_none_or(|row| row.hash != ack.hash)).count();
        if lost > 0 {
            return Err(format!("{lost} of {} acknowledged entries of {tenant} are lost", own.len()));
        }
        for row in rows {
            let number = row.entry.id.as_u128() as u64 - 1;
            let evidence = ledger.open_evidence(tenant, row.entry.seq).map_err(|error| super::chain(&error))?;
            if evidence.is_some() != (number % 40 == 20) {
                return Err(format!("entry {} of {tenant} has lost its evidence", row.entry.seq));
            }
        }
    }
    ledger.records(b"test/").map_err(|error| super::chain(&error))?;
    Ok(())
}
