//! Instances that are made ahead of calls, and instances that answer more than one.

mod support;

use std::time::{Duration, Instant};

use portcullis_engine::{Engine, EngineConfig, Grants, Instances, Limits, Plugin, PluginFile, Source};
use support::{ample, call, guest, load, message};

const PAYLOAD: &str = "{}";

/// A guest that tells the tool of the call before, if it sees one, and keeps 1 MiB more with each call.
fn leaky(engine: &Engine, instances: Instances, limits: Limits) -> Plugin {
    let (file, grants) = (PluginFile::new(guest("state_leak")), Grants::default());
    let source = Source { name: "p", tenant: "acme", file: &file, config: "", grants: &grants, limits, instances };
    engine.load(&source).unwrap()
}

fn engine(slots: u32) -> Engine {
    Engine::new(EngineConfig { slots, ..EngineConfig::default() }).unwrap()
}

/// Waits until this many instances wait.
fn wait_for(plugins: &[&Plugin], wanted: usize) {
    let began = Instant::now();
    let waiting = || plugins.iter().map(|plugin| plugin.waiting()).sum::<usize>();
    while waiting() != wanted {
        assert!(began.elapsed() < Duration::from_secs(60), "{} wait, wanted {wanted}", waiting());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_instance_made_ahead_answers_as_a_fresh_one_and_for_the_same_fuel() {
    let fresh = load("state_leak", "").inspect(&call("one", PAYLOAD));
    let engine = engine(64);
    let plugin = leaky(&engine, Instances { ahead: Some(3), reuse: 1 }, ample());
    assert_eq!(plugin.waiting(), 0, "nothing is made for a plugin that nobody puts to use");
    plugin.employ();
    let wanted = message(fresh.clone());
    for round in 0..12 {
        wait_for(&[&plugin], 3);
        let run = plugin.inspect(&call("secret", PAYLOAD));
        assert_eq!((run.cost.fuel, run.cost.memory), (fresh.cost.fuel, fresh.cost.memory), "round {round}");
        assert_eq!(message(run), wanted, "round {round}");
    }
}

#[test]
fn an_instance_answers_no_more_calls_than_it_may() {
    let engine = engine(64);
    let plugin = leaky(&engine, Instances { ahead: Some(0), reuse: 3 }, ample());
    let seen: Vec<String> = ["a", "b", "c", "d", "e", "f", "g"]
        .into_iter()
        .map(|tool| message(plugin.inspect(&call(tool, PAYLOAD))).split('|').next().unwrap().to_owned())
        .collect();
    assert_eq!(seen, ["", "a", "b", "", "d", "e", ""]);
}

#[test]
fn an_instance_whose_memory_grows_is_dropped_before_it_runs_into_its_limit() {
    let engine = engine(64);
    let limits = Limits { memory: 8 << 20, ..ample() };
    let plugin = leaky(&engine, Instances { ahead: Some(0), reuse: 100_000 }, limits);
    let mut fresh = 0;
    for _ in 0..40 {
        let run = plugin.inspect(&call("x", PAYLOAD));
        assert!(run.cost.memory <= 8 << 20);
        fresh += usize::from(message(run).starts_with('|'));
    }
    assert!((2..=20).contains(&fresh), "{fresh} of 40 calls had a new instance");
}

#[test]
fn a_plugin_that_fails_does_not_answer_from_that_instance_again() {
    let engine = engine(64);
    // Room for one call's memory, not for two: the second fails, the third starts anew.
    let limits = Limits { memory: 2_500_000, ..ample() };
    let plugin = leaky(&engine, Instances { ahead: Some(0), reuse: 10 }, limits);
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        outcomes.push(plugin.inspect(&call("x", PAYLOAD)).result.is_ok());
    }
    assert!(outcomes[0], "{outcomes:?}");
    assert!(outcomes.windows(2).all(|pair| pair[0] || pair[1]), "a failed instance was used again: {outcomes:?}");
}

#[test]
fn waiting_instances_leave_slots_for_calls() {
    let engine = engine(16);
    let many = Instances { ahead: Some(64), reuse: 1 };
    let (one, two) = (leaky(&engine, many, ample()), leaky(&engine, many, ample()));
    one.employ();
    two.employ();
    wait_for(&[&one, &two], 4);
    assert!(message(two.inspect(&call("x", PAYLOAD))).starts_with('|'));
    drop(one);
    two.employ();
    wait_for(&[&two], 4);
}
