//! HTTPS as its page tells it: the page's own commands make the certificates, curl is the client.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use test_suite::{Server, Setup, binary, root};

/// A folder with what the page's commands make.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    folder
}

fn make(folder: &Path) {
    let page = fs::read_to_string(root().join("docs/tls.md")).unwrap();
    let commands = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let output = Command::new("sh").args(["-e", "-c", commands]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The page's listener, with one agent that has a certificate and one that has a token.
fn config(token_sha256: &str) -> String {
    format!(
        "listen = \"0.0.0.0:8443\"\n[server]\nhosts = [\"gate.example\"]\n\
         [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"ca.pem\"\n\
         client_certificates = \"optional\"\n\
         [[tenant]]\nname = \"acme\"\npolicy = \"baseline\"\n\
         [[tenant.agent]]\nname = \"bot\"\nspiffe = [\"spiffe://acme/agents/bot\"]\n\
         [[tenant.agent]]\nname = \"old\"\ntoken_sha256 = [\"{token_sha256}\"]\n"
    )
}

fn token(folder: &Path) -> (String, String) {
    let output = Command::new(binary().unwrap()).arg("token").current_dir(folder).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    (words[1].to_owned(), words[3].to_owned())
}

/// Status, HTTP version and body.
fn curl(server: &Server, arguments: &[&str]) -> (String, String, Value) {
    let port = server.url.rsplit(':').next().unwrap();
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--cacert", "ca.pem", "-w", "\n%{http_code} %{http_version}"])
        .args(["-H", "content-type: application/json", "-d", r#"{"tool":"read_file","arguments":{"path":"a.txt"}}"#])
        .args(arguments)
        .arg(format!("https://localhost:{port}/v1/inspect"))
        .current_dir(server.folder())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, last) = text.rsplit_once('\n').unwrap();
    let (status, version) = last.split_once(' ').unwrap();
    (status.to_owned(), version.to_owned(), serde_json::from_str(body).unwrap())
}

/// The serial number of the certificate that the server shows.
fn serial(server: &Server) -> String {
    let port = server.url.rsplit(':').next().unwrap();
    let shown =
        format!("openssl s_client -connect 127.0.0.1:{port} < /dev/null 2>/dev/null | openssl x509 -serial -noout");
    let output = Command::new("sh").args(["-c", &shown]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn eventually(mut look: impl FnMut() -> bool) {
    for _ in 0..400 {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it did not come about");
}

#[test]
fn the_page_about_tls_is_true() {
    let folder = certificates();
    let (token, token_sha256) = token(folder.path());
    let setup = Setup { config: Some(config(&token_sha256)), ..Setup::default() };
    let server = Server::start_in(folder, &setup).unwrap();
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);

    let own = ["--cert", "bot.pem", "--key", "bot.key"];
    for (offer, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let (status, spoken, answer) = curl(&server, &[&own[..], &[offer]].concat());
        assert_eq!((&*status, &*spoken, answer["verdict"].as_str()), ("200", version, Some("allow")), "{answer}");
    }
    assert_eq!(curl(&server, &[]).0, "401");
    let bearer = format!("authorization: Bearer {token}");
    assert_eq!(curl(&server, &["-H", &bearer]).0, "200");
    assert_eq!(curl(&server, &[&own[..], &["-H", &bearer]].concat()).0, "401", "two credentials of two agents");

    // The command line needs no certificate.
    let (code, said, errors) = server
        .portcullis(&["ledger", "show", "--json", "--tenant", "acme", "--config", "portcullis.toml", "--data", "data"])
        .unwrap();
    assert_eq!(code, 0, "{said}{errors}");
    assert!(said.contains("\"bot\"") && said.contains("\"old\""), "{said}");
    let inspect =
        ["inspect", "--config", "portcullis.toml", "--data", "data", "--token", &token, "--tool", "read_file"];
    let (code, said, errors) = server.portcullis(&inspect).unwrap();
    assert_eq!(code, 0, "{said}{errors}");
    let running: Value = serde_json::from_slice(&fs::read(server.data().join("server.json")).unwrap()).unwrap();
    let local = format!("http://{}/healthz", running["address"].as_str().unwrap());
    let output = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &local]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "403", "for nobody else");
}

#[test]
fn a_renewed_certificate_is_served_and_a_bad_one_is_not() {
    let folder = certificates();
    let setup = Setup { config: Some(config(&token(folder.path()).1)), ..Setup::default() };
    let server = Server::start_in(folder, &setup).unwrap();
    let old = serial(&server);
    assert!(old.starts_with("serial="), "{old}");

    let fresh = certificates();
    for name in ["server.pem", "server.key"] {
        fs::copy(fresh.path().join(name), server.folder().join(name)).unwrap();
    }
    eventually(|| serial(&server) != old);
    let renewed = serial(&server);

    let other = certificates();
    fs::copy(other.path().join("server.pem"), server.folder().join("server.pem")).unwrap();
    eventually(|| server.errors().unwrap().contains("does not fit the certificate"));
    let said = server.errors().unwrap();
    assert!(said.contains("nothing was changed") && said.contains("portcullis.toml:6:1: tls.key"), "{said}");
    assert_eq!(serial(&server), renewed);
}

#[test]
fn starts_that_would_be_open_to_the_network_do_not_happen() {
    let folder = certificates();
    let start = |arguments: &[&str]| {
        let output = Command::new(binary().unwrap())
            .args(["serve", "--json", "--data", "data"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = start(&["--listen", "0.0.0.0:0"]);
    assert!(said.contains("not a loopback address") && said.contains("[tls]"), "{said}");
    let write = |text: &str| fs::write(folder.path().join("portcullis.toml"), text).unwrap();
    write("[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n");
    let said = start(&["--listen", "0.0.0.0:0", "--config", "portcullis.toml"]);
    assert!(said.contains("[[tenant]]"), "{said}");
    write("[tls]\ncertificate = \"server.pem\"\nkey = \"bot.key\"\n");
    let said = start(&["--listen", "127.0.0.1:0", "--config", "portcullis.toml"]);
    assert!(said.contains("portcullis.toml:3:1: tls.key") && said.contains("does not fit"), "{said}");
    write("[tls]\ncertificate = \"nowhere.pem\"\nkey = \"server.key\"\n");
    let said = start(&["--listen", "127.0.0.1:0", "--config", "portcullis.toml"]);
    assert!(said.contains("portcullis.toml:2:1: tls.certificate") && said.contains("nowhere.pem"), "{said}");
}
