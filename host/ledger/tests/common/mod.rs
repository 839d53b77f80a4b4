//! What the tests of the ledger share.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub(crate) mod child;

use std::path::Path;
use std::sync::Arc;

use portcullis_ledger::{Ledger, LedgerConfig};
use portcullis_model::{
    Decision, Digest, Document, Door, Draft, EntryFinding, EntryKind, EntryPlugin, EntryReason, Mode, Phase,
};
use uuid::Uuid;

/// Opens a ledger with the defaults.
pub(crate) fn open(folder: &Path) -> Ledger {
    Ledger::open(LedgerConfig::new(folder)).unwrap()
}

/// Waits for a future without a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A draft like the gateway makes: four plugins and 1 KiB of arguments.
pub(crate) fn draft(tenant: &str, number: u64) -> Draft {
    let payload = Document::parse(format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(1000))).unwrap();
    let plugin = |name: &str| EntryPlugin {
        name: name.into(),
        digest: Digest::of(name.as_bytes()),
        fuel: 120_000,
        fault: None,
        answers: None,
    };
    Draft {
        kind: EntryKind::Decision,
        tenant: tenant.into(),
        id: Uuid::from_u128(u128::from(number) + 1),
        time_ms: 1_795_000_000_000 + number,
        agent: "agent".into(),
        session: Some("session".into()),
        door: Door::Inspect,
        upstream: Some("files".into()),
        tool: Some("read_file".into()),
        phase: Phase::Call,
        mode: Mode::Enforce,
        decision: Some(Decision::Redact),
        reasons: vec![EntryReason { code: "secret".into(), plugin: "rule-baseline".into() }],
        findings: vec![EntryFinding { plugin: "detector-secrets".into(), category: "secret.token".into(), score: 900 }],
        plugins: ["detector-injection", "detector-commands", "detector-secrets", "rule-baseline"].map(plugin).into(),
        generation: Some(Digest::of(b"generation")),
        approval: None,
        outcome: None,
        duration_ms: None,
        call_digest: Some(payload.digest()),
        payload: Some(Arc::new(payload)),
        note: None,
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether the long forms were asked for: `LEDGER_LONG=1`.
pub(crate) fn long() -> bool {
    std::env::var_os("LEDGER_LONG").is_some()
}

/// Random numbers that a test prints the seed of (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
