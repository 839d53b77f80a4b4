use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_model::Decision;

use super::*;
use crate::judge::tests::{Log, call, verdict};

/// A generation whose only rule says which one it is.
fn generation(tenant: &str, number: u64) -> Arc<Generation> {
    let code = format!("g{number}");
    let id = Digest::of(code.as_bytes());
    let rule = Log::default().rule("r", move |_| {
        std::thread::yield_now();
        Ok(verdict(Decision::Deny, &[&code]))
    });
    Arc::new(Generation::of_stages(tenant, id, vec![rule]))
}

fn call_of(tenant: &str) -> Call {
    Call { tenant: tenant.into(), ..call("{}") }
}

#[test]
fn a_tenant_without_a_generation_has_no_verdict() {
    let generations = Generations::new();
    generations.activate(generation("one", 1));
    assert!(generations.judge(&call_of("two")).is_none());
    assert!(generations.judge(&call_of("one")).is_some());
}

#[test]
fn activation_changes_one_tenant_and_tells_what_it_replaced() {
    let generations = Generations::new();
    assert_eq!(generations.activate(generation("one", 1)), None);
    assert_eq!(generations.activate(generation("two", 2)), None);
    assert_eq!(generations.activate(generation("one", 3)), Some(Digest::of(b"g1")));
    assert_eq!(generations.current("two").unwrap().id(), Digest::of(b"g2"));
    let tenants: Vec<_> = generations.all().iter().map(|generation| generation.tenant().to_string()).collect();
    assert_eq!(tenants, ["one", "two"]);
    generations.replace([generation("three", 4)]);
    assert!(generations.current("one").is_none() && generations.current("three").is_some());
}

#[test]
fn calls_in_flight_finish_on_the_generation_they_started_with() {
    let generations = Generations::new();
    let first = generation("one", 0);
    let kept = Arc::downgrade(&first);
    generations.activate(first);
    let in_flight = generations.current("one").unwrap();
    generations.activate(generation("one", 1));
    assert_eq!(in_flight.judge(&call_of("one")).reasons[0].code, "g0");
    drop(in_flight);
    assert!(kept.upgrade().is_none(), "a replaced generation goes with its last call");
}

#[test]
fn no_call_is_lost_or_mixed_up_while_generations_change() {
    let generations = Generations::new();
    generations.activate(generation("one", 0));
    generations.activate(generation("two", 0));
    let (newest, done, calls) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let at_least = newest.load(Ordering::Acquire);
                    let judgement = generations.judge(&call_of("one")).unwrap();
                    // Verdict and name come from one generation, and never from one replaced before the call came.
                    let code = judgement.reasons[0].code.as_str();
                    assert_eq!(judgement.generation, Digest::of(code.as_bytes()));
                    assert!(code[1..].parse::<u64>().unwrap() >= at_least);
                    assert_eq!(generations.judge(&call_of("two")).unwrap().reasons[0].code, "g0");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 1..=500 {
            assert_eq!(
                generations.activate(generation("one", number)),
                Some(Digest::of(format!("g{}", number - 1).as_bytes()))
            );
            newest.store(number, Ordering::Release);
            // On few cores all swaps could be over before the first call.
            while calls.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(calls.load(Ordering::Relaxed) > 0);
}
