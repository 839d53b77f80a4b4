//! Who may depend on whom. The layout is part of the design; this test keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use test_suite::root;

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let normal = package["dependencies"].as_array().unwrap().iter().filter(|one| one["kind"].is_null());
            (text(&package["name"]), normal.map(|one| text(&one["name"])).collect())
        })
        .collect()
}

#[test]
fn arrows_point_one_way() {
    let allowed: &[(&str, &[&str])] = &[
        ("portcullis-model", &[]),
        ("portcullis-engine", &["portcullis-model"]),
        ("portcullis-ledger", &["portcullis-model", "portcullis-ledger-verify"]),
        ("portcullis-ledger-verify", &["portcullis-model"]),
        ("portcullis-approvals", &["portcullis-model"]),
        ("portcullis-registry", &["portcullis-model"]),
        ("portcullis-tenancy", &["portcullis-model"]),
        ("portcullis-pipeline", &["portcullis-model", "portcullis-engine"]),
        ("portcullis-project", &["portcullis-model"]),
        ("portcullis-score", &[]),
        ("portcullis-eval", &["portcullis-model", "portcullis-engine", "portcullis-score"]),
        // It reads cases in the SDK's format.
        ("portcullis-trial", &["portcullis-model", "portcullis-engine", "portcullis-plugin"]),
    ];
    let found = dependencies();
    for (name, may) in allowed {
        let ours: BTreeSet<&str> =
            found[*name].iter().map(String::as_str).filter(|one| found.contains_key(*one)).collect();
        let may: BTreeSet<&str> = may.iter().copied().collect();
        assert!(ours.is_subset(&may), "{name} may use {may:?} and uses {ours:?}");
    }
}

#[test]
fn host_and_plugins_meet_only_at_the_contract() {
    let found = dependencies();
    let plugin = |name: &str| {
        ["detector-", "rule-", "router-", "plugin-"].iter().any(|start| name.starts_with(start))
            || name == "portcullis-plugin"
    };
    let host = |name: &str| name == "portcullis" || (name.starts_with("portcullis-") && name != "portcullis-plugin");
    for (name, uses) in found.iter().filter(|(name, _)| host(name) || plugin(name)) {
        for one in uses {
            let cases = name == "portcullis-trial" && one == "portcullis-plugin";
            assert!(cases || !(host(name) && plugin(one)), "{name} of the host uses the plugin crate {one}");
            assert!(!(plugin(name) && host(one)), "the plugin crate {name} uses {one} of the host");
        }
    }
}

#[test]
fn each_library_has_one_owner() {
    let owners: &[(&str, &[&str])] = &[
        ("wasmtime", &["portcullis-engine"]),
        ("wasmtime-wasi", &["portcullis-engine"]),
        ("wasmtime-wizer", &["portcullis-engine"]),
        ("sled", &["portcullis-ledger"]),
        ("hyper", &["portcullis-gateway"]),
        ("hyper-util", &["portcullis-gateway"]),
        ("rustls", &["portcullis-gateway"]),
        ("tokio-rustls", &["portcullis-gateway"]),
        ("x509-parser", &["portcullis-gateway"]),
        ("hyper-rustls", &["portcullis-gateway"]),
        // The proxy is not built on anybody's idea of the protocol; tests/peers is a workspace of its own.
        ("rmcp", &[]),
    ];
    for (name, uses) in dependencies() {
        for (library, may) in owners {
            let allowed = may.contains(&name.as_str()) || name == "xtask";
            assert!(allowed || !uses.contains(*library), "{name} names {library}, which only {may:?} may");
        }
    }
}

#[test]
fn only_one_file_of_the_ledger_names_sled() {
    let mut naming = Vec::new();
    let mut folders = vec![root().join("host/ledger/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().replace("self::sled::", "").contains("sled::") {
                naming.push(path);
            }
        }
    }
    assert!(naming.len() <= 1, "{naming:?}");
}
