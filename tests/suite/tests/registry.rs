//! Plugins from a real registry (Debian's `docker-registry`): pushed, signed, locked, used without network.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use portcullis_model::Digest;
use serde_json::{Value, json};
use test_suite::{Registry, Server, Setup, binary, root};

const TOKEN: &str = "pct_a_token_of_this_test";

/// `portcullis plugin …` in a folder: exit code, standard output, standard error.
fn plugin(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(binary().unwrap());
    command.arg("plugin").args(arguments).current_dir(folder).env("HOME", folder).env_remove("COSIGN_PASSWORD");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The same, which must succeed; its JSON.
fn done(folder: &Path, arguments: &[&str]) -> Value {
    let (code, out, errors) = plugin(folder, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {errors}");
    serde_json::from_str(&out).unwrap()
}

fn built(name: &str) -> String {
    root().join("target/plugins").join(format!("{name}.wasm")).display().to_string()
}

fn config(reference: &str, keys: &[&str]) -> String {
    let digest = Digest::of(TOKEN.as_bytes());
    format!(
        "[[tenant]]\nname = \"acme\"\n\n[tenant.trust]\nkeys = {keys:?}\n\n[[tenant.plugins]]\nname = \"rules\"\nplugin = \
         \"{reference}\"\nconfig = {{ review_tools = [\"rm\"] }}\n\n[[tenant.agent]]\nname = \"bot\"\ntoken_sha256 = \
         [\"{digest}\"]\n"
    )
}

fn judged(server: &Server, tool: &str) -> Value {
    let token = format!("Bearer {TOKEN}");
    let headers = [("content-type", "application/json"), ("authorization", token.as_str())];
    let body = json!({ "tool": tool, "arguments": {} }).to_string();
    server.request("POST", "/v1/inspect", &headers, body.as_bytes()).unwrap().json().unwrap()
}

fn check(folder: &Path) -> (bool, String) {
    let output = Command::new(binary().unwrap())
        .args(["check", "--config", "portcullis.toml"])
        .current_dir(folder)
        .env("HOME", folder)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_signed_plugin_goes_through_a_registry_into_a_server_that_restarts_without_it() {
    let Some(registry) = Registry::start().unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, &["keygen", "--output", "signer"]);
    done(path, &["keygen", "--output", "other", "--kind", "ed25519"]);
    let reference = format!("oci://{}/acme/rules:1.0.0", registry.host);
    let pushed = done(path, &["push", &built("rule-baseline"), &reference, "--key", "signer.key"]);
    let exact = format!("oci://{}/acme/rules@{}", registry.host, pushed["manifest"].as_str().unwrap());
    assert_eq!(done(path, &["verify", &reference, "--key", "signer.pub"])["good"], true);
    let (code, _, errors) = plugin(path, &["verify", &reference, "--key", "other.pub"]);
    assert!(code == 2 && errors.contains("none of its signatures"), "{errors}");
    let inspected = done(path, &["inspect", &reference, "--key", "signer.pub"]);
    assert_eq!(inspected["signatures"]["good"][0][0], "signer.pub");
    assert_eq!((&inspected["digest"], &inspected["role"]), (&pushed["digest"], &json!("rule")));
    let pulled = done(path, &["pull", &exact, "--output", "pulled.wasm", "--key", "signer.pub"]);
    assert_eq!(pulled["digest"], pushed["digest"]);
    assert_eq!(fs::read(path.join("pulled.wasm")).unwrap(), fs::read(built("rule-baseline")).unwrap());

    let keys = vec![("signer.pub".to_owned(), fs::read(path.join("signer.pub")).unwrap())];
    let setup =
        Setup { config: Some(config(&reference, &["signer.pub"])), files: keys, warm: true, ..Setup::default() };
    let server = Server::start(&setup).unwrap();
    assert_ne!(judged(&server, "rm")["verdict"], "allow");
    assert_eq!(judged(&server, "ls")["verdict"], "allow");
    let lock = fs::read_to_string(server.data().join("plugins.lock")).unwrap();
    for part in [reference.as_str(), pushed["digest"].as_str().unwrap(), pushed["manifest"].as_str().unwrap()] {
        assert!(lock.contains(part), "{part}: {lock}");
    }
    let errors = server.errors().unwrap();
    assert!(errors.contains("plugin fetched"), "{errors}");

    // The tag moves, and the registry goes away: the server starts with what it was started with.
    done(path, &["push", &built("router-default"), &reference, "--key", "signer.key"]);
    drop(registry);
    let (data, _) = server.terminate().unwrap();
    let server = Server::start_in(data, &setup).unwrap();
    assert_ne!(judged(&server, "rm")["verdict"], "allow");
    let (data, _) = server.terminate().unwrap();

    // A key that is taken out of the list ends that.
    fs::copy(path.join("other.pub"), data.path().join("other.pub")).unwrap();
    let without = Setup { config: Some(config(&reference, &["other.pub"])), ..Setup::default() };
    let said = Server::start_in(data, &without).unwrap_err().to_string();
    assert!(
        said.contains("portcullis.toml:") && said.contains("none of its signatures") && said.contains("other.pub"),
        "{said}"
    );
}

#[test]
fn a_removed_key_refuses_the_next_reload_and_leaves_what_runs() {
    let Some(registry) = Registry::start().unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, &["keygen", "--output", "signer"]);
    done(path, &["keygen", "--output", "other"]);
    let reference = format!("oci://{}/rules:1", registry.host);
    done(path, &["push", &built("rule-baseline"), &reference, "--key", "signer.key"]);
    let read = |name: &str| (name.to_owned(), fs::read(path.join(name)).unwrap());
    let files = vec![read("signer.pub"), read("other.pub")];
    let setup = Setup { config: Some(config(&reference, &["signer.pub"])), files, warm: true, ..Setup::default() };
    let server = Server::start(&setup).unwrap();
    fs::write(server.folder().join("portcullis.toml"), config(&reference, &["other.pub"])).unwrap();
    while !server.errors().unwrap().contains("none of its signatures") {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_ne!(judged(&server, "rm")["verdict"], "allow");
}

#[test]
fn what_moved_is_pulled_when_it_is_asked_for_and_a_running_server_takes_it() {
    let Some(registry) = Registry::start().unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, &["keygen", "--output", "signer"]);
    let reference = format!("oci://{}/rules:1", registry.host);
    let first = done(path, &["push", &built("rule-baseline"), &reference, "--key", "signer.key"]);
    fs::write(path.join("portcullis.toml"), config(&reference, &["signer.pub"])).unwrap();
    let pull = ["pull", "--config", "portcullis.toml"];
    let pulled = done(path, &pull);
    assert_eq!((&pulled["plugins"][0]["digest"], &pulled["plugins"][0]["was"]), (&first["digest"], &Value::Null));
    // The same rules with a custom section behind them: other bytes, the same behaviour.
    let mut bytes = fs::read(built("rule-baseline")).unwrap();
    bytes.extend(b"\0\x04\x03new");
    fs::write(path.join("new.wasm"), bytes).unwrap();
    let second = done(path, &["push", "new.wasm", &reference, "--key", "signer.key"]);
    assert_eq!(done(path, &pull)["plugins"][0]["digest"], first["digest"]);
    let setup = Setup {
        config: Some(config(&reference, &["signer.pub"])),
        files: vec![("signer.pub".to_owned(), fs::read(path.join("signer.pub")).unwrap())],
        ..Setup::default()
    };
    // Started before the update: it follows when the lock file changes.
    let server = Server::start(&setup).unwrap();
    let (_, before, _) =
        server.portcullis(&["plugin", "pull", "--config", "portcullis.toml", "--data", "data", "--json"]).unwrap();
    assert!(before.contains(second["digest"].as_str().unwrap()), "{before}");
    let third = done(path, &["push", &built("rule-baseline"), &reference]);
    assert_eq!(third["manifest"], first["manifest"]);
    let update = ["plugin", "pull", "--config", "portcullis.toml", "--data", "data", "--update", "--json"];
    let (code, out, errors) = server.portcullis(&update).unwrap();
    assert_eq!(code, 0, "{errors}");
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&out["plugins"][0]["was"], &out["plugins"][0]["digest"]), (&second["digest"], &first["digest"]));
    while server.errors().unwrap().matches("generation activated").count() < 2 {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_ne!(judged(&server, "rm")["verdict"], "allow");
    // What is not configured any more is forgotten when that is asked for.
    let nothing = "[[tenant]]\nname = \"acme\"\n";
    fs::write(path.join("portcullis.toml"), nothing).unwrap();
    let pruned = done(path, &[&pull[..], &["--prune"]].concat());
    assert_eq!(pruned["forgotten"], json!([reference]));
}

#[test]
fn a_file_needs_a_signature_unless_the_tenant_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::copy(built("rule-baseline"), path.join("mine.wasm")).unwrap();
    let write = |trust: &str| {
        let text = config("mine.wasm", &[]).replace("keys = []", trust);
        fs::write(path.join("portcullis.toml"), text).unwrap();
    };
    write("");
    let (good, said) = check(path);
    assert!(
        !good && said.contains("trusts no key") && said.contains("mine.wasm") && said.contains("plugins[0].plugin"),
        "{said}"
    );
    write("unsigned = \"files\"");
    let (good, said) = check(path);
    assert!(good, "{said}");
    done(path, &["keygen", "--output", "signer"]);
    write("keys = [\"signer.pub\"]");
    let (good, said) = check(path);
    assert!(!good && said.contains("mine.wasm.sig") && said.contains("signer.pub"), "{said}");
    done(path, &["sign", "mine.wasm", "--key", "signer.key"]);
    assert_eq!(done(path, &["verify", "mine.wasm", "--tenant", "acme", "--config", "portcullis.toml"])["good"], true);
    let (good, said) = check(path);
    assert!(good, "{said}");
    // Changed after signing.
    let mut bytes = fs::read(path.join("mine.wasm")).unwrap();
    bytes.extend(b"\0\x04\x03new");
    fs::write(path.join("mine.wasm"), bytes).unwrap();
    let (good, said) = check(path);
    assert!(!good && said.contains("changed after signing"), "{said}");
    write("keys = [\"signer.key\"]");
    let (good, said) = check(path);
    assert!(!good && said.contains("trust.keys[0]") && said.contains("private"), "{said}");
}

#[test]
fn a_component_is_described_with_its_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, &["keygen", "--output", "signer"]);
    fs::copy(built("rule-baseline"), path.join("rules.wasm")).unwrap();
    let signed = |arguments: &[&str]| {
        let (code, out, errors) = plugin(path, &[&["inspect"], arguments].concat());
        assert_eq!(code, 0, "{errors}");
        out.lines().find_map(|line| line.strip_prefix("signed    ")).unwrap().to_owned()
    };
    assert_eq!(signed(&["rules.wasm"]), "no");
    done(path, &["sign", "rules.wasm", "--key", "signer.key"]);
    assert_eq!(signed(&["rules.wasm"]), "once; --key says by whom");
    assert!(signed(&["rules.wasm", "--key", "signer.pub"]).starts_with("by signer.pub, key sha256:"));
    done(path, &["keygen", "--output", "other"]);
    assert!(signed(&["rules.wasm", "--key", "other.pub"]).starts_with("not by these keys: "));
    assert_eq!(signed(&["rule-baseline"]), "built in: with the binary");
    let (code, _, errors) = plugin(path, &["inspect", "rule-baseline", "--key", "signer.pub"]);
    assert!(code == 1 && errors.contains("leave out --key"), "{errors}");
}

#[test]
fn a_disk_that_is_full_fails_the_pull_and_leaves_nothing_half() {
    let Some(registry) = Registry::start().unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let reference = format!("oci://{}/rules:1", registry.host);
    done(path, &["push", &built("rule-baseline"), &reference]);
    let text = config(&reference, &[]).replace("keys = []", "unsigned = \"allow\"");
    fs::write(path.join("portcullis.toml"), text).unwrap();
    let full = format!(
        "trap \"\" XFSZ; ulimit -f 8; exec {} plugin pull --config portcullis.toml --data data",
        binary().unwrap().display()
    );
    let output = Command::new("sh").args(["-c", &full]).current_dir(path).env("HOME", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("cannot be stored") && said.contains("File too large"), "{said}");
    assert!(!path.join("data/plugins.lock").exists());
    let blobs = fs::read_dir(path.join("data/registry/blobs")).unwrap();
    let sizes: Vec<u64> = blobs.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    // The manifest alone is there, whole.
    assert!(sizes.len() <= 1 && sizes.iter().sum::<u64>() < 4096, "{sizes:?}");
    let fetched = done(path, &["pull", "--config", "portcullis.toml", "--data", "data"]);
    assert_eq!(fetched["plugins"][0]["reference"], reference);
}

#[test]
fn a_registry_that_is_away_fails_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = config(&format!("oci://{free}/rules:1"), &[]).replace("keys = []", "unsigned = \"allow\"");
    fs::write(folder.path().join("portcullis.toml"), text).unwrap();
    let (good, said) = check(folder.path());
    assert!(!good && said.contains(&free.to_string()) && said.contains("plugins[0].plugin"), "{said}");
}
