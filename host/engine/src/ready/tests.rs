use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use portcullis_model::{Call, Document, Phase};
use uuid::Uuid;

use super::*;
use crate::package::Package;
use crate::{Engine, EngineConfig, Grants, Limits, Plugin, PluginFile, Source, pool};

fn guest(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../target/guests/{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", path.display()))
}

/// An engine whose filler does nothing by itself, and what it is asked.
fn engine(slots: u32, wait: fn(&mut dyn FnMut())) -> (Engine, Receiver<Weak<plugin::Inner>>) {
    let config = EngineConfig { slots, wait, ..EngineConfig::default() };
    let mut asks = None;
    let engine = Engine::filled_by(config, |pool| {
        let (filler, asked) = Filler::idle(pool);
        asks = Some(asked);
        Ok(filler)
    });
    (engine.unwrap(), asks.unwrap())
}

/// No call of these tests has to wait for a slot.
fn never(_: &mut dyn FnMut()) {
    panic!("a call waited for a slot");
}

fn load(engine: &Engine, name: &str, instances: Instances) -> Plugin {
    let grants = Grants { locked_wasi: name == "uses_wasi", ..Grants::default() };
    let limits = Limits { deadline_ms: 30_000, ..Limits::default() };
    let file = PluginFile::new(guest(name));
    engine
        .load(&Source { name: "p", tenant: "acme", file: &file, config: "", grants: &grants, limits, instances })
        .unwrap()
}

fn leaky(engine: &Engine, ahead: u16, reuse: u32) -> Plugin {
    load(engine, "state_leak", Instances { ahead: Some(ahead), reuse })
}

fn answers(plugin: &Plugin) -> bool {
    let call = Call {
        id: Uuid::nil(),
        phase: Phase::Call,
        tenant: "acme".into(),
        agent: "robot".into(),
        session: None,
        persona: None,
        task: None,
        upstream: None,
        tool: "t".into(),
        payload: Arc::new(Document::parse(b"{}".as_slice()).unwrap()),
        time_ms: 0,
        attached: None,
    };
    plugin.inspect(&call).result.is_ok()
}

/// The turns that were asked for, and those that are asked for by them. How many there were.
fn fill(asked: &Receiver<Weak<plugin::Inner>>) -> usize {
    let mut turns = 0;
    while let Ok(plugin) = asked.try_recv() {
        turns += 1;
        assert!(turns < 1000, "the filler never ends");
        if let Some(plugin) = plugin.upgrade() {
            plugin.ready.as_ref().unwrap().fill(&plugin);
        }
    }
    turns
}

#[test]
fn calls_do_not_wait_for_instances_that_are_not_there() {
    let (engine, asked) = engine(16, never);
    let plugin = leaky(&engine, 2, 1);
    // Nobody ever makes one, and nobody can be asked any more.
    while engine.0.filler.ask(Weak::new()) {}
    for _ in 0..20 {
        assert!(answers(&plugin));
    }
    assert_eq!(plugin.waiting(), 0);
    while asked.try_recv().is_ok() {}
    for _ in 0..3 {
        assert!(answers(&plugin));
    }
    assert_eq!(asked.try_iter().count(), 1, "one turn at a time is asked for");
}

#[test]
fn what_an_instance_takes_is_what_the_pool_counts() {
    for name in ["state_leak", "uses_wasi"] {
        let (engine, _asked) = engine(16, never);
        let plugin = load(&engine, name, Instances::default());
        assert_eq!(engine.0.pool.core_instances(), 0, "{name}");
        let bytes = guest(name);
        let counted = pool::core_instances(&Package::open(&bytes).unwrap().component).unwrap();
        let made = plugin.inner().make().unwrap();
        assert_eq!(engine.0.pool.core_instances(), counted, "{name}");
        assert!(counted > 0 && engine.0.pool.used() > 0);
        drop(made);
        assert_eq!(engine.0.pool.used(), 0);
    }
}

#[test]
fn nothing_waits_for_a_plugin_that_nobody_has_in_use() {
    let (engine, asked) = engine(64, never);
    let plugin = leaky(&engine, 2, 3);
    plugin.employ();
    plugin.employ();
    fill(&asked);
    assert_eq!(plugin.waiting(), 2);
    plugin.retire();
    assert_eq!(plugin.waiting(), 2, "one still uses it");
    plugin.retire();
    assert_eq!((plugin.waiting(), engine.0.pool.used()), (0, 0));
    // Calls that are under way still get their answer, and leave nothing behind.
    assert!(answers(&plugin));
    plugin.fill_until(later());
    assert_eq!((fill(&asked), plugin.waiting(), engine.0.pool.used()), (0, 0, 0));
    // It comes back into force.
    plugin.employ();
    fill(&asked);
    assert_eq!(plugin.waiting(), 2);
}

#[test]
fn whoever_puts_a_plugin_to_use_can_wait_for_its_instances() {
    let (engine, asked) = engine(64, never);
    let plugin = leaky(&engine, 3, 1);
    plugin.employ();
    plugin.fill_until(Instant::now());
    assert_eq!(plugin.waiting(), 0, "it is late already");
    plugin.fill_until(later());
    assert_eq!(plugin.waiting(), 3);
    // The engine's thread finds nothing to do.
    assert_eq!((fill(&asked), plugin.waiting()), (1, 3));
    // No more than the pool has room for.
    let greedy = leaky(&engine, 64, 1);
    greedy.employ();
    greedy.fill_until(later());
    assert_eq!((plugin.waiting(), greedy.waiting()), (3, 13));
}

#[test]
fn what_found_no_room_is_made_once_there_is_some() {
    let (engine, asked) = engine(16, never);
    let (old, new) = (leaky(&engine, 64, 1), leaky(&engine, 3, 1));
    old.employ();
    fill(&asked);
    assert_eq!(old.waiting(), 4, "a quarter of the pool");
    // As a pipeline is changed: warmed, put in force, the old one goes, then whoever warmed it.
    new.employ();
    new.fill_until(later());
    new.employ();
    fill(&asked);
    assert!(new.waiting() < 3);
    old.retire();
    new.retire();
    fill(&asked);
    assert_eq!((old.waiting(), new.waiting()), (0, 3));
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn what_waits_is_bounded_by_what_it_takes_and_shared_out() {
    let (engine, asked) = engine(16, never);
    let (one, two, three) = (leaky(&engine, 64, 1), leaky(&engine, 64, 1), leaky(&engine, 64, 5));
    one.employ();
    two.employ();
    fill(&asked);
    assert_eq!((one.waiting(), two.waiting()), (2, 2), "a quarter of the pool, in turns");
    // What comes back from a call is under the same bound.
    assert!(answers(&three));
    assert_eq!(three.waiting(), 0);
    // One of each comes before a second one of any.
    three.employ();
    fill(&asked);
    assert_eq!(three.waiting(), 1);
    assert_eq!(one.waiting() + two.waiting(), 3);
}

#[test]
fn a_call_that_finds_no_slot_gets_that_of_an_instance_that_waits() {
    let (engine, asked) = engine(2, never);
    let (greedy, modest) = (leaky(&engine, 64, 1), leaky(&engine, 0, 1));
    greedy.employ();
    fill(&asked);
    assert_eq!(greedy.waiting(), 1);
    let held = modest.inner().make().unwrap();
    assert!(!modest.starts_at_once());
    assert!(answers(&modest));
    assert_eq!(greedy.waiting(), 0);
    assert!(modest.starts_at_once());
    // With a full pool nothing is made ahead, and the filler does not wait for a slot.
    let other = modest.inner().make().unwrap();
    greedy.employ();
    assert!(fill(&asked) <= 1);
    assert_eq!(greedy.waiting(), 0);
    assert!(greedy.inner().make_now().is_err());
    drop((held, other));
}

#[test]
fn whoever_waits_for_a_slot_hands_its_thread_on_first() {
    static HANDED_ON: AtomicU32 = AtomicU32::new(0);
    let (engine, _asked) = engine(1, |work| {
        HANDED_ON.fetch_add(1, Ordering::SeqCst);
        work();
    });
    let plugin = leaky(&engine, 0, 1);
    assert!(answers(&plugin));
    assert_eq!(HANDED_ON.load(Ordering::SeqCst), 0);
    let held = plugin.inner().make().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while HANDED_ON.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            drop(held);
        });
        assert!(answers(&plugin));
    });
    assert_eq!(HANDED_ON.load(Ordering::SeqCst), 1);
}
