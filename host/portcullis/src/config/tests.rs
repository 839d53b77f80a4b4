use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    std::fs::write(&path, text).unwrap();
    Config::read(&path).map(|(config, _)| config)
}

fn place(text: &str) -> (Option<(usize, usize)>, Option<String>, String) {
    let error = read(text).unwrap_err();
    (error.at, error.key, error.message)
}

#[test]
fn an_empty_file_is_the_default() {
    let config = read("").unwrap();
    assert_eq!(config.listen, Config::default().listen);
    assert!(config.data.is_absolute(), "relative to the file");
    assert!(config.tenant.is_empty());
}

#[test]
fn unknown_keys_are_refused_with_line_and_name() {
    let (at, _, message) = place("listen = \"127.0.0.1:1\"\n\n[engine]\nslotss = 3\n");
    assert_eq!(at, Some((4, 1)));
    assert!(message.contains("slotss") && message.contains("keep_resident_kib"), "{message}");
    let (at, _, message) =
        place("[[tenant]]\nname = \"a\"\n[[tenant.plugins]]\nname = \"x\"\ngrants = { clok = true }\n");
    assert_eq!(at.map(|at| at.0), Some(5));
    assert!(message.contains("clok"), "{message}");
}

#[test]
fn wrong_types_are_placed() {
    let (at, _, message) = place("\n[ledger]\ncache_mib = \"much\"\n");
    assert_eq!(at, Some((3, 13)));
    assert!(message.contains("invalid type"), "{message}");
}

#[test]
fn meaning_is_checked_with_key_and_line() {
    let (at, key, _) = place("[ledger]\n# small\ncache_mib = 1\n");
    assert_eq!((at, key.as_deref()), (Some((3, 1)), Some("ledger.cache_mib")));
    let (at, key, _) =
        place("[[upstream]]\nname = \"a\"\nurl = \"http://x\"\n[[upstream]]\nname = \"a\"\nurl = \"http://y\"\n");
    assert_eq!((at, key.as_deref()), (Some((5, 1)), Some("upstream[1].name")));
    let (at, key, _) = place("[[upstream]]\nname = \"a\"\n");
    assert_eq!((at.map(|at| at.0), key.as_deref()), (Some(1), Some("upstream[0]")));
    let upstream = "[[upstream]]\nname = \"a\"\nurl = \"http://x\"\n";
    let (at, key, _) = place(&format!("{upstream}[[federation]]\nname = \"a\"\nupstreams = [\"a\"]\n"));
    assert_eq!((at, key.as_deref()), (Some((5, 1)), Some("federation[0].name")));
    let (at, key, _) = place(&format!("{upstream}[[federation]]\nname = \"b\"\nupstreams = []\n"));
    assert_eq!((at, key.as_deref()), (Some((6, 1)), Some("federation[0].upstreams")));
}

#[test]
fn a_missing_file_says_so() {
    let error = Config::read(Path::new("nowhere/portcullis.toml")).unwrap_err().to_string();
    assert!(error.starts_with("nowhere/portcullis.toml: cannot be read"), "{error}");
}

const TENANT: &str = "[[tenant]]\nname = \"acme\"\n[[tenant.agent]]\nname = \"bot\"\n";

#[test]
fn beyond_loopback_tls_credentials_and_a_name_are_needed() {
    let listen = "listen = \"0.0.0.0:8443\"\n";
    let tls = "[tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n";
    let (hosts, plain) = ("hosts = [\"gate.example\"]\n", "plain_http_beyond_loopback = true\n");
    let fails = |text: &str| {
        let (at, key, message) = place(text);
        (at.map(|at| at.0), key.unwrap(), message)
    };
    let (line, key, message) = fails(&format!("# all\n{listen}[server]\n{hosts}{TENANT}"));
    assert_eq!((line, &*key), (Some(2), "listen"));
    assert!(message.contains("[tls]") && message.contains("plain_http_beyond_loopback"), "{message}");
    for text in [format!("{listen}{tls}[server]\n{hosts}"), format!("{listen}[server]\n{hosts}{plain}")] {
        let (_, key, message) = fails(&text);
        assert_eq!(key, "listen");
        assert!(message.contains("[[tenant]]"), "credentials are needed in any case: {message}");
    }
    let (_, key, message) = fails(&format!("{listen}{tls}{TENANT}"));
    assert_eq!(key, "server.hosts", "{message}");
    for text in [
        format!("{listen}{tls}[server]\n{hosts}{TENANT}"),
        format!("{listen}[server]\n{hosts}{plain}{TENANT}"),
        tls.to_owned(),
    ] {
        read(&text).unwrap();
    }
}

#[test]
fn paths_of_certificates_start_at_the_file() {
    let config = read("[tls]\ncertificate = \"a.pem\"\nkey = \"/k/a.key\"\nclient_ca = \"ca.pem\"\n").unwrap();
    let tls = config.tls.unwrap();
    assert!(tls.certificate.is_absolute() && tls.certificate.ends_with("a.pem"));
    assert_eq!(tls.key, Path::new("/k/a.key"));
    assert!(tls.client_ca.unwrap().is_absolute());
    assert_eq!((tls.client_certificates, tls.handshake_timeout_seconds), (None, 10));
}

#[test]
fn client_certificates_need_an_authority() {
    let tls = "[tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n";
    let (at, key, _) = place(&format!("{tls}client_certificates = \"required\"\n"));
    assert_eq!((at, key.as_deref()), (Some((4, 1)), Some("tls.client_certificates")));
    let with_id = format!("{TENANT}spiffe = [\"spiffe://acme/bot\"]\n");
    for text in [with_id.clone(), format!("{tls}{with_id}")] {
        let (_, key, message) = place(&text);
        assert_eq!(key.as_deref(), Some("tenant[0].agent[0].spiffe"));
        assert!(message.contains("tls.client_ca"), "{message}");
    }
    let config = read(&format!("{tls}client_ca = \"ca.pem\"\n{with_id}")).unwrap();
    assert!(config.tenant[0].agent[0].token_sha256.is_empty(), "a certificate is enough");
}

#[test]
fn an_access_token_needs_one_secret_and_an_http_upstream() {
    let oauth = "[upstream.oauth]\ntoken_url = \"https://id.example/t\"\nclient_id = \"me\"\n";
    let url = "[[upstream]]\nname = \"a\"\nurl = \"https://tools.example/mcp\"\n";
    let file = "client_secret_file = \"secret\"\n";
    for text in [format!("{url}{oauth}"), format!("{url}{oauth}{file}client_secret_env = \"SECRET\"\n")] {
        let (at, key, message) = place(&text);
        assert_eq!((at.map(|at| at.0), key.as_deref()), (Some(4), Some("upstream[0].oauth")));
        assert!(message.contains("exactly one"), "{message}");
    }
    let (_, _, message) = place(&format!("[[upstream]]\nname = \"a\"\ncommand = [\"true\"]\n{oauth}{file}"));
    assert!(message.contains("`url`"), "{message}");
    let config = read(&format!("{url}{oauth}{file}")).unwrap();
    let path = config.upstream[0].oauth.clone().unwrap().client_secret_file.unwrap();
    assert!(path.is_absolute() && path.ends_with("secret"), "{path:?}");
}

#[test]
fn the_address_where_people_decide_names_the_approval() {
    for address in
        ["desk.example/{id}", "ftp://desk.example/{id}", "https://desk.example/", "https://desk.example/ {id}"]
    {
        let (at, key, message) = place(&format!("[mcp]\napproval_url = \"{address}\"\n"));
        assert_eq!((at.map(|at| at.0), key.as_deref()), (Some(2), Some("mcp.approval_url")), "{address}");
        assert!(message.contains("{id}"), "{message}");
    }
    assert_eq!(place("[mcp]\nhold_seconds = 86401\n").1.as_deref(), Some("mcp.hold_seconds"));
    let config = read("[mcp]\nhold_seconds = 0\napproval_url = \"https://desk.example/{id}\"\n").unwrap();
    assert_eq!((config.mcp.hold_seconds, config.mcp.hold_calls_per_agent), (0, 64));
}

#[test]
fn mistakes_of_a_candidate_are_placed() {
    let key = |lines: &str| {
        let text = format!("[[tenant]]\nname = \"a\"\n[tenant.candidate]\n{lines}\n");
        place(&text).1.unwrap_or_default()
    };
    let good =
        "policy = \"baseline\"\nshadow_percent = 12.5\ncanary_agents = [\"test-*\"]\nrollback = { min_calls = 5 }";
    assert!(read(&format!("[[tenant]]\nname = \"a\"\n[tenant.candidate]\n{good}\n")).is_ok());
    assert_eq!(key(""), "tenant[0].candidate");
    let both = "policy = \"baseline\"\n[[tenant.candidate.plugins]]\nname = \"rule-baseline\"";
    assert_eq!(key(both), "tenant[0].candidate");
    for (line, at) in [
        ("shadow_percent = 101", "shadow_percent"),
        ("canary_percent = -1", "canary_percent"),
        ("canary_percent = nan", "canary_percent"),
        ("rollback = { max_trap_rate = 5 }", "rollback.max_trap_rate"),
        ("rollback = { max_deny_drift = nan }", "rollback.max_deny_drift"),
        ("rollback = { max_latency_ratio = inf }", "rollback.max_latency_ratio"),
        ("rollback = { window_seconds = 0 }", "rollback.window_seconds"),
        ("rollback = { min_calls = 0 }", "rollback.min_calls"),
    ] {
        assert_eq!(key(&format!("policy = \"baseline\"\n{line}")), format!("tenant[0].candidate.{at}"), "{line}");
    }
    let (_, key, _) = place("generations.keep = 33\n");
    assert_eq!(key.as_deref(), Some("generations.keep"));
}
