//! Two versions of the plugin contract in one engine: what was built for the older one runs unchanged beside the newer.

mod support;

use portcullis_engine::ABI_VERSIONS;
use support::{ENGINE, call, guest, load, message};

/// Every released version of the contract, as folders of `wit/`.
fn released() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<_> = entries.filter_map(|name| name.strip_prefix("plugin@").map(str::to_owned)).collect();
    versions.sort();
    versions
}

#[test]
fn every_released_version_is_spoken() {
    assert_eq!(released(), ABI_VERSIONS);
}

#[test]
fn components_of_every_version_run_beside_each_other() {
    // Guests of 1.0.0, the first of which uses most of what there is, and one of 1.1.0, which uses what is new there.
    let older = ["good_detector", "tells_call", "writes_log", "forged_spans"];
    for name in older {
        assert_eq!(ENGINE.describe(&guest(name)).unwrap().abi, "1.0.0", "{name}");
    }
    let newer = ENGINE.describe(&guest("finds_text")).unwrap();
    assert_eq!(newer.abi, "1.1.0");
    assert!(newer.imports.iter().any(|import| import == "portcullis:plugin/payload@1.1.0"), "{:?}", newer.imports);

    let (old, new) = (load("good_detector", r#"{"word": "one"}"#), load("finds_text", "/b/0"));
    let payload = r#"{"a": "one", "b": ["tw\u00f6", 3]}"#;
    for _ in 0..3 {
        assert!(old.inspect(&call("t", payload)).result.is_ok());
        let run = new.inspect(&call("t", payload));
        let spans = run.result.as_ref().unwrap()[0].spans.clone();
        assert_eq!((spans[0].pointer.as_str(), spans[0].start, spans[0].end), ("/b/0", 0, 4));
        assert_eq!(message(run), "tw\u{f6}");
    }
    // Nothing there, or no string.
    for pointer in ["/c", "/b/1", "b", "/b"] {
        assert_eq!(load("finds_text", pointer).inspect(&call("t", payload)).result.unwrap(), []);
    }
}
