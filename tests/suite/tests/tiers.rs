//! How far plugins are shut in: shown where one is installed, and allowed by the tenant or refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use test_suite::{Server, Setup, binary, root};

const TOKEN: &str = "agent-token-of-the-outside-tests";
const TOKEN_SHA256: &str = "sha256:86294f8083be86e36d04c115b4047843b9a17a939e63d4dd2c1e7996ebb6523a";

/// Looks at the world around it and tells what it sees.
const LOOKS: &str = r#""""A detector that tells what the world around it looks like."""

import os
import random
import socket
import time

from portcullis import Call, Detector, Finding, Payload


def tried(what) -> str:
    try:
        return repr(what())
    except Exception as error:
        return type(error).__name__


class Look(Detector):
    def inspect(self, call: Call, payload: Payload) -> list[Finding]:
        seen = [
            tried(lambda: int(time.time())),
            tried(lambda: os.urandom(8).hex()),
            tried(lambda: random.SystemRandom().random()),
            tried(lambda: dict(os.environ)),
            tried(lambda: os.listdir("/")),
            tried(lambda: open("/etc/passwd").read()),
            tried(lambda: socket.create_connection(("127.0.0.1", 80), 1)),
        ]
        return [Finding("world.seen", 1.0, " | ".join(seen), [])]
"#;

fn portcullis(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(binary().unwrap()).args(arguments).current_dir(folder).output().unwrap()
}

fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A project in Python that asks for WASI, built.
fn project() -> PathBuf {
    let place = root().join("target/tmp/tiers");
    fs::create_dir_all(&place).unwrap();
    let _ = std::os::unix::fs::symlink("../../tools/guest-python", place.join(".venv"));
    let folder = place.join("looks");
    let _ = fs::remove_dir_all(&folder);
    let made = portcullis(&place, &["plugin", "new", "looks", "--lang", "python"]);
    assert!(made.status.success(), "{}", printed(&made));
    let manifest = fs::read_to_string(folder.join("plugin.toml")).unwrap();
    let asking = manifest.replace("asks = []", "asks = [\"locked_wasi\"]");
    assert_ne!(asking, manifest);
    fs::write(folder.join("plugin.toml"), asking).unwrap();
    fs::write(folder.join("src/plugin.py"), LOOKS).unwrap();
    let built = portcullis(&folder, &["plugin", "build", "--json"]);
    let about: Value = serde_json::from_slice(&built.stdout).unwrap_or_else(|_| panic!("{}", printed(&built)));
    assert_eq!((&about["tier"], &about["asks"]), (&json!("locked-wasi"), &json!(["locked_wasi"])));
    folder
}

fn config(grants: &str) -> String {
    format!(
        "[[tenant]]\nname = \"default\"\ntrust.unsigned = \"files\"\n\n[[tenant.plugins]]\nname = \"look\"\nplugin = \
         \"looks.wasm\"\n{grants}\nlimits = {{ fuel = 1000000000, deadline_ms = 20000, memory_mib = 128 }}\n\n\
         [[tenant.agent]]\nname = \"bot\"\ntoken_sha256 = [\"{TOKEN_SHA256}\"]\n"
    )
}

/// What the plugin saw.
fn seen(server: &Server) -> String {
    let body = json!({ "tool": "t", "arguments": {}, "explain": true }).to_string();
    let token = format!("Bearer {TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", token.as_str())];
    let answer = server.request("POST", "/v1/inspect", &headers, body.as_bytes()).unwrap().json().unwrap();
    answer.pointer("/findings/0/message").and_then(Value::as_str).unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_plugin_that_needs_wasi_is_shown_as_such_refused_without_the_grant_and_shut_in_with_it() {
    let folder = project();
    let component = fs::read(folder.join("build/looks.wasm")).unwrap();

    // Where it is installed from.
    let keys = portcullis(&folder, &["plugin", "keygen", "--output", "author"]);
    assert!(keys.status.success(), "{}", printed(&keys));
    let file = "./build/looks.wasm";
    let signed = portcullis(&folder, &["plugin", "sign", file, "--key", "author.key"]);
    assert!(signed.status.success(), "{}", printed(&signed));
    for arguments in
        [&["plugin", "verify", file, "--key", "author.pub"][..], &["plugin", "pull", file, "--key", "author.pub"]]
    {
        let said = portcullis(&folder, arguments);
        let text = printed(&said);
        println!("$ portcullis {}\n{text}", arguments.join(" "));
        assert!(said.status.success() && text.contains("tier      locked-wasi\n"), "{text}");
        assert!(text.contains("asks      locked_wasi; it runs only where `grants` allows it\n"), "{text}");
        let said = portcullis(&folder, &[arguments, &["--json"]].concat());
        let about: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{}", printed(&said)));
        assert_eq!((&about["tier"], &about["asks"]), (&json!("locked-wasi"), &json!(["locked_wasi"])));
    }

    // Where it is not allowed: by `check`, and at a start.
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("looks.wasm"), &component).unwrap();
    fs::write(place.path().join("portcullis.toml"), config("")).unwrap();
    let check = || portcullis(place.path(), &["check", "--config", "portcullis.toml"]);
    let refused = check();
    let text = printed(&refused);
    println!("{text}");
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("portcullis.toml:5:1: tenant[0].plugins[0].grants: the component imports \"wasi:"), "{text}");
    assert!(
        text.contains("which is not granted; add `locked_wasi = true` to its grants or remove the import"),
        "{text}"
    );
    let serve = ["serve", "--config", "portcullis.toml", "--data", "data", "--listen", "127.0.0.1:0"];
    let started = portcullis(place.path(), &serve);
    assert!(
        !started.status.success() && printed(&started).contains("add `locked_wasi = true`"),
        "{}",
        printed(&started)
    );
    // Another grant is not this one.
    fs::write(place.path().join("portcullis.toml"), config("grants.clock = true")).unwrap();
    assert_eq!(check().status.code(), Some(2));

    // Where it is.
    let files = vec![("looks.wasm".to_owned(), component)];
    let setup = Setup { config: Some(config("grants.locked_wasi = true")), files, warm: true, ..Setup::default() };
    let server = Server::start(&setup).unwrap();
    let first = seen(&server);
    let parts: Vec<_> = first.split(" | ").collect();
    let [time, random, system, environment, root, file, network] = parts[..] else { panic!("{first}") };
    assert_eq!(time, "946684800", "the clock stands still");
    assert_eq!(random.len(), 18, "{random}");
    assert!(system.parse::<f64>().is_ok(), "{system}");
    assert_eq!(environment, "{}");
    assert!(!root.contains("etc") && !file.contains("root"), "{root} {file}");
    assert!(network.ends_with("Error"), "{network}");
    assert_eq!(seen(&server), first, "chance is the same in every call");
    let log = server.errors().unwrap();
    assert!(log.contains("look (locked-wasi)"), "{log}");
    let (code, said, errors) = server.portcullis(&["generations", "show", "--data", "data"]).unwrap();
    assert!(code == 0 && said.contains("locked-wasi"), "{said}{errors}");
    let (folder, _) = server.terminate().unwrap();
    let server = Server::start_in(folder, &setup).unwrap();
    assert_eq!(seen(&server), first, "and after a restart");
    drop(server);
    fs::write(place.path().join("portcullis.toml"), config("grants.locked_wasi = true")).unwrap();
    let good = check();
    assert!(good.status.success() && printed(&good).contains("locked-wasi"), "{}", printed(&good));
}
