//! What is no plugin is refused before it is compiled, with a text that says what is wrong; what was compiled is kept.

mod support;

use std::os::unix::fs::MetadataExt as _;

use portcullis_engine::{
    ABI_SECTION, Engine, EngineConfig, Fault, Grants, Instances, Limits, LoadError, MAX_PLUGIN_BYTES, PackageError,
    Plugin, PluginFile, Prepared, Snapshotting, Source, Tier,
};
use portcullis_model::{Digest, Role};
use support::{ENGINE, ample, call, guest, message, try_load};

const CONFIG: &str = r#"{"word": "rm -rf"}"#;
const PAYLOAD: &str = r#"["please rm -rf / now"]"#;

/// An empty component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// An empty core module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn number(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `wasm` with one more section.
fn with_section(wasm: &[u8], id: u8, content: &[u8]) -> Vec<u8> {
    let mut out = wasm.to_vec();
    out.push(id);
    number(content.len(), &mut out);
    out.extend_from_slice(content);
    out
}

/// `wasm` with a stamp of the plugin contract.
fn stamped(wasm: &[u8], version: &str) -> Vec<u8> {
    let mut content = Vec::new();
    number(ABI_SECTION.len(), &mut content);
    content.extend_from_slice(ABI_SECTION.as_bytes());
    content.extend_from_slice(version.as_bytes());
    with_section(wasm, 0, &content)
}

fn refusal(bytes: &[u8]) -> PackageError {
    match try_load("p", bytes, CONFIG, &Grants::default(), ample()).unwrap_err() {
        LoadError::Package(error) => error,
        other => panic!("{other}"),
    }
}

fn load_from(engine: &Engine, bytes: &[u8]) -> Plugin {
    let (grants, limits) = (Grants::default(), ample());
    let source = Source {
        name: "p",
        tenant: "acme",
        file: &PluginFile::new(bytes),
        config: CONFIG,
        grants: &grants,
        limits,
        instances: Instances::default(),
    };
    engine.load(&source).unwrap()
}

#[test]
fn what_is_not_webassembly_is_refused() {
    for bytes in [&b""[..], b"\0as", b"#!/bin/sh\n", b"\x7fELF\x02\x01\x01"] {
        assert_eq!(refusal(bytes), PackageError::NotWasm);
    }
}

#[test]
fn a_file_that_is_cut_off_is_refused_wherever_it_was_cut() {
    let whole = guest("good_detector");
    for cut in (4..whole.len()).step_by(whole.len() / 97) {
        let error = refusal(&whole[..cut]);
        let fine =
            matches!(error, PackageError::Malformed(_) | PackageError::NoAbi | PackageError::UnknownWorld { .. });
        assert!(fine, "{cut}: {error}");
    }
}

#[test]
fn a_damaged_file_is_an_error_and_never_a_panic() {
    let whole = guest("good_detector");
    for at in (8..whole.len()).step_by(whole.len() / 17) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        if let Ok(plugin) = try_load("p", &damaged, CONFIG, &Grants::default(), ample()) {
            let _ = plugin.inspect(&call("t", PAYLOAD));
        }
    }
}

#[test]
fn a_huge_file_is_refused_unread() {
    let mut huge = guest("good_detector");
    huge.resize(MAX_PLUGIN_BYTES + 1, 0);
    assert_eq!(refusal(&huge), PackageError::TooLarge { size: MAX_PLUGIN_BYTES + 1 });
}

#[test]
fn the_stamp_of_the_contract_is_checked_first() {
    assert_eq!(refusal(COMPONENT), PackageError::NoAbi);
    assert_eq!(refusal(MODULE), PackageError::NoAbi);
    let good = guest("good_detector");
    for (version, newer) in
        [("1.0.1", false), ("1.2.0", true), ("2.0.0", true), ("0.9.0", false), ("one", false), ("", false)]
    {
        let error = refusal(&stamped(&good, version));
        assert_eq!(error, PackageError::Abi { found: version.to_owned(), newer });
        assert_eq!(error.to_string().contains("upgrade Portcullis"), newer, "{error}");
    }
}

#[test]
fn a_component_of_another_world_is_refused() {
    let error = refusal(&stamped(COMPONENT, "1.0.0"));
    assert_eq!(error, PackageError::UnknownWorld { exports: Vec::new() });
    assert!(error.to_string().contains("exports: nothing"), "{error}");
}

#[test]
fn a_core_module_without_metadata_is_refused() {
    assert!(matches!(refusal(&stamped(MODULE, "1.0.0")), PackageError::NoMetadata(_)));
}

/// The core module inside a guest, with the metadata that says which world it is for.
fn core_module(component: &[u8], world: &str) -> Vec<u8> {
    let parts = wasmparser::Parser::new(0).parse_all(component);
    let mut modules = parts.filter_map(|part| match part.unwrap() {
        wasmparser::Payload::ModuleSection { unchecked_range: range, .. } => {
            Some(component[range.start as usize..range.end as usize].to_vec())
        }
        _ => None,
    });
    let mut module = modules.next().unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let wit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/plugin@1.0.0");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    module
}

#[test]
fn a_core_module_with_metadata_becomes_a_component() {
    let component = guest("good_detector");
    let module = core_module(&component, "detector");
    assert!(module.starts_with(MODULE));
    let description = ENGINE.describe(&module).unwrap();
    assert_eq!((description.role, description.digest), (Role::Detector, Digest::of(&module)));
    assert_eq!(description.asks, [""; 0]);
    let wrapped = load_from(&ENGINE, &module);
    let whole = load_from(&ENGINE, &component);
    let found = wrapped.inspect(&call("t", PAYLOAD)).result.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(Ok(found), whole.inspect(&call("t", PAYLOAD)).result);
    // A module for another world than it says.
    assert!(matches!(refusal(&core_module(&component, "rule")), PackageError::NoMetadata(_)));
}

#[test]
fn grants_that_lead_outside_fail_the_load_where_nothing_leads_there() {
    for (grant, grants) in [
        ("judge", Grants { judge: vec!["risk".to_owned()], ..Grants::default() }),
        ("http", Grants { http: vec!["example.com".to_owned()], ..Grants::default() }),
        ("secrets", Grants { secrets: vec!["token".to_owned()], ..Grants::default() }),
    ] {
        let error = try_load("p", &guest("good_detector"), CONFIG, &grants, ample()).unwrap_err();
        assert!(matches!(&error, LoadError::Grant(error) if error.grant == grant), "{error}");
    }
    let error = try_load("p", &guest("asks_http"), CONFIG, &Grants::default(), ample()).unwrap_err();
    assert!(error.to_string().contains("which is not granted; add"), "{error}");
    assert!(serde_json::from_str::<Grants>(r#"{"network": true}"#).is_err(), "an unknown grant");
}

#[test]
fn a_limit_out_of_bounds_fails_the_load() {
    let limits = Limits { fuel: 0, ..ample() };
    let error = try_load("p", &guest("good_detector"), CONFIG, &Grants::default(), limits).unwrap_err();
    assert!(error.to_string().starts_with("limit fuel is 0"), "{error}");
}

#[test]
fn instances_tables_and_memory_are_limited_from_the_start() {
    for limits in [
        Limits { instances: 1, ..ample() },
        Limits { table_elements: 0, ..ample() },
        Limits { memory: 64 * 1024, ..ample() },
    ] {
        let error = try_load("p", &guest("good_detector"), CONFIG, &Grants::default(), limits).unwrap_err();
        assert!(matches!(error, LoadError::Configure(Fault::Memory)), "{limits:?}: {error}");
    }
}

#[test]
fn a_description_says_what_a_file_asks_for() {
    let bytes = guest("counts_state");
    let description = ENGINE.describe(&bytes).unwrap();
    assert_eq!(description.digest, Digest::of(&bytes));
    assert_eq!((description.role, description.tier, description.abi.as_str()), (Role::Detector, Tier::Sealed, "1.0.0"));
    assert_eq!(description.asks, ["state"]);
    assert!(description.imports.iter().any(|import| import == "portcullis:plugin/state@1.0.0"));
    assert_eq!(description.snapshot, Snapshotting::Possible);
    let wasi = ENGINE.describe(&guest("uses_wasi")).unwrap();
    assert_eq!((wasi.tier, wasi.asks), (Tier::LockedWasi, vec!["locked_wasi".to_owned()]));
}

/// The same plugin in a form that cannot be snapshotted: with a nested component that holds a module.
fn unsnapshottable() -> Vec<u8> {
    with_section(&guest("good_detector"), 4, &with_section(COMPONENT, 1, MODULE))
}

#[test]
fn a_plugin_that_cannot_be_snapshotted_is_configured_in_each_call() {
    let bytes = unsnapshottable();
    let description = ENGINE.describe(&bytes).unwrap();
    assert!(
        matches!(&description.snapshot, Snapshotting::Impossible(why) if why.contains("nested")),
        "{description:?}"
    );
    let plugin = load_from(&ENGINE, &bytes);
    assert!(matches!(plugin.prepared(), Prepared::EachCall { .. }));
    let snapshot = load_from(&ENGINE, &guest("good_detector"));
    assert!(plugin.may_take_long() && !snapshot.may_take_long());
    let (warm, cold) = (plugin.inspect(&call("t", PAYLOAD)), snapshot.inspect(&call("t", PAYLOAD)));
    assert_eq!(warm.result, cold.result);
    assert!(warm.result.unwrap().len() == 1);
    // Configuring has a budget of its own: the call's fuel does not pay for it.
    assert!(warm.cost.fuel <= cold.cost.fuel, "{} {}", warm.cost.fuel, cold.cost.fuel);
    let error = try_load("p", &bytes, "{}", &Grants::default(), ample()).unwrap_err();
    assert!(matches!(error, LoadError::Refused(_)), "{error}");
}

#[test]
fn a_second_load_comes_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let config = |key| EngineConfig {
        cache_dir: Some(folder.path().to_owned()),
        cache_key: [key; 32],
        ..EngineConfig::default()
    };
    let files = || -> Vec<_> { std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect() };
    // What is configured in each instance is apart from the configurations that were taken.
    for (bytes, new) in [(guest("good_detector"), 1), (unsnapshottable(), 2)] {
        let before = files().len();
        let first = load_from(&Engine::new(config(1)).unwrap(), &bytes);
        assert_eq!(files().len(), before + new);
        let kept: Vec<_> = files().iter().map(|path| path.metadata().unwrap().ino()).collect();
        let second = load_from(&Engine::new(config(1)).unwrap(), &bytes);
        let (first, again) = (first.inspect(&call("t", PAYLOAD)), second.inspect(&call("t", PAYLOAD)));
        assert_eq!((&first.result, first.cost.fuel), (&again.result, again.cost.fuel));
        let now: Vec<_> = files().iter().map(|path| path.metadata().unwrap().ino()).collect();
        assert_eq!(kept, now, "it was there: nothing was written again");
    }
    let before = files().len();
    load_from(&Engine::new(config(2)).unwrap(), &guest("good_detector"));
    assert_eq!(files().len(), before + 1, "another key does not even find the file");
}

#[test]
fn code_that_is_configured_in_each_instance_is_kept_once_for_all_configurations() {
    let folder = tempfile::tempdir().unwrap();
    let engine =
        || Engine::new(EngineConfig { cache_dir: Some(folder.path().to_owned()), ..EngineConfig::default() }).unwrap();
    let sizes = || -> Vec<u64> {
        let mut sizes: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        sizes.sort_unstable();
        sizes
    };
    let file = PluginFile::new(unsnapshottable());
    let (grants, limits, instances) = (Grants::default(), ample(), Instances::default());
    for word in ["rm", "please", "now"] {
        let config = format!(r#"{{"word": "{word}"}}"#);
        let source =
            Source { name: "p", tenant: "acme", file: &file, config: &config, grants: &grants, limits, instances };
        engine().load(&source).unwrap();
    }
    let sizes = sizes();
    assert_eq!(sizes.len(), 4);
    assert!(sizes[2] < 1024 && sizes[3] > 10 * 1024, "{sizes:?}");
}

#[test]
fn a_changed_cache_file_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let engine =
        Engine::new(EngineConfig { cache_dir: Some(folder.path().to_owned()), ..EngineConfig::default() }).unwrap();
    let bytes = guest("good_detector");
    load_from(&engine, &bytes);
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&path).unwrap();
    let flip = |at: usize| {
        let mut changed = good.clone();
        changed[at] ^= 1;
        changed
    };
    let mut longer = good.clone();
    longer.push(0);
    let changed = [
        flip(0),
        flip(32),
        flip(40),
        flip(good.len() / 2),
        flip(good.len() - 1),
        good[..good.len() / 2].to_vec(),
        longer,
        Vec::new(),
    ];
    for content in changed {
        std::fs::write(&path, content).unwrap();
        let plugin = load_from(&engine, &bytes);
        assert_eq!(plugin.inspect(&call("t", PAYLOAD)).result.unwrap().len(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), good, "made again, the same to the byte");
    }
    // A file of ours under another name is not ours either.
    let (grants, limits) = (Grants::default(), ample());
    let other = r#"{"word": "please"}"#;
    let source = Source {
        name: "p",
        tenant: "acme",
        file: &PluginFile::new(&*bytes),
        config: other,
        grants: &grants,
        limits,
        instances: Instances::default(),
    };
    engine.load(&source).unwrap();
    let second = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|file| *file != path)
        .unwrap();
    std::fs::write(&second, &good).unwrap();
    let plugin = engine.load(&source).unwrap();
    let found = plugin.inspect(&call("t", PAYLOAD)).result.unwrap();
    assert_eq!(found[0].spans[0].end, 6, "{found:?}");
}

#[test]
fn a_plugin_runs_on_many_threads_at_once_and_waits_for_a_slot() {
    let engine = Engine::new(EngineConfig { slots: 2, ..EngineConfig::default() }).unwrap();
    let file = PluginFile::new(guest("keeps_configuration"));
    let (grants, limits) = (Grants::default(), Limits { deadline_ms: 10_000, ..ample() });
    let source = Source {
        name: "p",
        tenant: "acme",
        file: &file,
        config: "kept",
        grants: &grants,
        limits,
        instances: Instances::default(),
    };
    let plugin = engine.load(&source).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(message(plugin.inspect(&call("t", PAYLOAD))), "kept");
                }
            });
        }
    });
}

#[test]
fn the_engine_says_what_it_got() {
    let notes = ENGINE.notes();
    assert_eq!(notes.missing.is_none(), notes.pooling && notes.pagemap_scan, "{notes:?}");
}
