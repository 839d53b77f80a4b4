//! The protocol's own suites, and every call of a client, directly and through Portcullis: tests/conformance/README.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use test_suite::{binary, compiled, root};

/// Configurations that let everything through.
#[derive(Clone, Copy)]
enum Policy {
    /// It judges, and forwards without waiting for the verdict to matter.
    Observe,
    /// It enforces, and the verdict is always yes.
    Allow,
}

impl Policy {
    fn file(self) -> PathBuf {
        let name = match self {
            Self::Observe => "observe.toml",
            Self::Allow => "allow.toml",
        };
        root().join("tests/conformance").join(name)
    }
}

/// Runs a program of tests/conformance with the built binary. Gives its report and what it printed.
fn run(program: &str, folder: &str, policy: Policy, arguments: &[&str]) -> (Value, String) {
    let folder = root().join("target/conformance").join(folder);
    let data = tempfile::tempdir().unwrap();
    compiled::bring(data.path()).unwrap();
    let output = Command::new("python3")
        .arg(root().join("tests/conformance").join(program))
        .arg("--binary")
        .arg(binary().unwrap())
        .arg("--config")
        .arg(policy.file())
        .args(["--token", "conformance-token", "--data"])
        .arg(data.path())
        .arg("--out")
        .arg(&folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout) + &text(&output.stderr);
    let report =
        std::fs::read(folder.join("report.json")).unwrap_or_else(|error| panic!("no report: {error}\n{printed}"));
    compiled::keep(data.path()).unwrap();
    verified(data.path());
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(output.status.success(), report["same"] == true, "{printed}");
    (report, printed)
}

fn verified(data: &Path) {
    assert!(test_suite::ledger(data, &["verify"]).unwrap().starts_with("good"));
}

/// Scored checks of each suite that the fixture passes; it fails none.
const SCORED: [(&str, u64); 4] = [("0.1-active", 40), ("0.1-pending", 4), ("2025-11-25", 70), ("2026-07-28", 120)];

fn the_suites(folder: &str, policy: Policy) {
    let (report, printed) = run("run.py", folder, policy, &["--repeat", "1"]);
    assert_eq!(report["same"], true, "{printed}");
    assert_eq!(report["suites"].as_object().unwrap().len(), SCORED.len(), "{printed}");
    for (suite, passed) in SCORED {
        for side in ["direct", "through"] {
            let counts = report["suites"][suite]["counts"][side].as_array().unwrap();
            assert_eq!(counts.len(), 1, "{printed}");
            let scored = &counts[0]["scored"];
            assert_eq!(
                (&scored["SUCCESS"], &scored["FAILURE"]),
                (&json!(passed), &json!(0)),
                "{suite} {side}: {printed}"
            );
        }
    }
}

#[test]
fn the_suites_see_the_same_when_portcullis_observes() {
    the_suites("suites-observe", Policy::Observe);
}

#[test]
fn the_suites_see_the_same_when_portcullis_enforces_and_allows() {
    the_suites("suites-allow", Policy::Allow);
}

fn every_message(folder: &str, policy: Policy) {
    let (report, printed) = run("differential.py", folder, policy, &[]);
    assert_eq!(report["same"], true, "{printed}");
    // Both eras with a client, each revision by hand; nothing was left out.
    let parts = report["parts"].as_object().unwrap();
    let steps = |part: &str| parts[part]["steps"].as_u64().unwrap();
    assert!(steps("client, legacy") >= 55 && steps("client, 2026-07-28") >= 50, "{printed}");
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        assert!(steps(&format!("by hand, {revision}")) >= 10, "{printed}");
    }
}

#[test]
fn every_message_is_the_same_when_portcullis_observes() {
    every_message("messages-observe", Policy::Observe);
}

#[test]
fn every_message_is_the_same_when_portcullis_enforces_and_allows() {
    every_message("messages-allow", Policy::Allow);
}

/// The reference server takes requests for any host from any page, so a page that makes its own name point to this machine
/// can use it. Behind Portcullis it cannot.
#[test]
fn a_forged_host_reaches_the_everything_server_and_not_through_portcullis() {
    let arguments = ["--reference", "--suite", "0.1-active", "--scenario", "dns-rebinding-protection", "--repeat", "1"];
    let (report, printed) = run("run.py", "rebinding", Policy::Observe, &arguments);
    let suite = &report["suites"]["0.1-active"];
    let counts = |side: &str| suite["counts"][side][0]["all"].clone();
    let (direct, through) = (counts("direct"), counts("through"));
    assert_eq!((&direct["SUCCESS"], &direct["FAILURE"]), (&json!(1), &json!(1)), "{printed}");
    assert_eq!((&through["SUCCESS"], &through["FAILURE"]), (&json!(2), &json!(0)), "{printed}");
    let differences = suite["differences"].as_array().unwrap();
    assert!(differences.len() == 1 && differences[0]["check"].as_str().unwrap().contains("rejected"), "{printed}");
}
