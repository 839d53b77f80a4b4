#![allow(dead_code, reason = "each test file uses a part")]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use portcullis_engine::{
    Engine, EngineConfig, Fault, Grants, Instances, Limits, LoadError, Plugin, PluginFile, Run, Source,
};
use portcullis_model::{Call, Document, Finding, Phase};
use uuid::Uuid;

/// One engine for the tests of a file, without a cache.
pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineConfig::default()).unwrap());

/// 2023-11-14T22:13:20Z.
pub(crate) const NOW: u64 = 1_700_000_000_000;

/// The bytes of a built guest.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/guests/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", path.display()))
}

pub(crate) fn try_load(
    name: &str,
    bytes: &[u8],
    config: &str,
    grants: &Grants,
    limits: Limits,
) -> Result<Plugin, LoadError> {
    ENGINE.load(&Source {
        name,
        tenant: "acme",
        file: &PluginFile::new(bytes),
        config,
        grants,
        limits,
        instances: Instances::default(),
    })
}

/// The default limits, with time enough for a machine that does other things too.
pub(crate) fn ample() -> Limits {
    Limits { deadline_ms: 30_000, ..Limits::default() }
}

/// A guest with nothing granted.
pub(crate) fn load(name: &str, config: &str) -> Plugin {
    load_with(name, config, &Grants::default(), ample())
}

pub(crate) fn load_with(name: &str, config: &str, grants: &Grants, limits: Limits) -> Plugin {
    try_load(name, &guest(name), config, grants, limits).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn refused(name: &str, config: &str) -> LoadError {
    try_load(name, &guest(name), config, &Grants::default(), ample()).unwrap_err()
}

/// A call of `tool` with this payload.
pub(crate) fn call(tool: &str, payload: &str) -> Call {
    Call {
        id: Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
        phase: Phase::Call,
        tenant: "acme".into(),
        agent: "robot".into(),
        session: Some("s1".into()),
        persona: None,
        task: Some("tidy up".into()),
        upstream: Some("shell".into()),
        tool: tool.into(),
        payload: Arc::new(Document::parse(payload.as_bytes()).unwrap()),
        time_ms: NOW,
        attached: None,
    }
}

/// The fault of a run; its code must be in the cost as well.
pub(crate) fn fault<T: std::fmt::Debug>(run: Run<T>) -> Fault {
    let fault = run.result.unwrap_err();
    assert_eq!(run.cost.fault.as_deref(), Some(fault.code()));
    fault
}

/// The message of the only finding.
pub(crate) fn message(run: Run<Vec<Finding>>) -> String {
    let findings = run.result.unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(run.cost.fault, None);
    findings.into_iter().next().unwrap().message
}
