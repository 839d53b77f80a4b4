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
