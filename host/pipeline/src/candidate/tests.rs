use portcullis_model::{Mode, PluginRun, Role};

use super::*;
use crate::judge::tests::{Log, call, verdict};

/// A candidate whose rule denies, and a clock that stands until it is moved.
fn candidate(trial: Trial) -> (Candidate, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&time);
    let clock = Clock::of(move || clock.load(Ordering::SeqCst));
    let generation = generation();
    (Candidate::at(Arc::clone(&generation), generation, trial, false, clock).unwrap(), time)
}

fn generation() -> Arc<Generation> {
    let rule = Log::default().rule("r", |_| Ok(verdict(Decision::Deny, &["no"])));
    Arc::new(Generation::of_stages("one", Digest::of(b"candidate"), vec![rule]))
}

fn canary(bounds: Bounds) -> (Candidate, Arc<AtomicU64>) {
    candidate(Trial { canary: 0.5, bounds, ..Trial::default() })
}

fn none() -> Bounds {
    Bounds {
        min_calls: 10,
        window_ms: 10_000,
        max_trap_rate: None,
        max_deadline_rate: None,
        max_latency_ratio: None,
        max_p99_ms: None,
        max_deny_drift: None,
    }
}

fn said(decision: Decision, fault: Option<&str>) -> Judgement {
    let run = PluginRun {
        name: "r".into(),
        role: Role::Rule,
        digest: Digest::of(b"r"),
        fuel: 1,
        micros: 1,
        memory: 0,
        answers: None,
        told: None,
        fault: fault.map(str::to_owned),
    };
    Judgement {
        decision,
        reasons: vec![],
        findings: vec![],
        replacement: None,
        plugins: vec![run],
        plan: None,
        generation: Digest::of(b"candidate"),
        mode: Mode::Enforce,
    }
}

const MS: Duration = Duration::from_millis(1);

fn fine() -> Judgement {
    said(Decision::Allow, None)
}

fn trap() -> Judgement {
    said(Decision::Deny, Some(codes::PLUGIN_TRAP))
}

#[test]
fn all_calls_of_a_session_are_judged_by_one_side() {
    let (candidate, _) = candidate(Trial { canary: 0.3, ..Trial::default() });
    let key = RandomState::new();
    let of = |session: Option<&str>, agent: &str| Call {
        session: session.map(Arc::from),
        agent: agent.into(),
        ..call("{}")
    };
    let mut taken = 0;
    for number in 0..2_000 {
        let session = number.to_string();
        let first = candidate.takes(&of(Some(&session), "a"), &key);
        assert!((0..5).all(|agent| candidate.takes(&of(Some(&session), &agent.to_string()), &key) == first));
        taken += u32::from(first);
    }
    assert!((400..800).contains(&taken), "{taken} of 2000 sessions");
    // Without a session, an agent is one run.
    let taken = (0..2_000).filter(|agent| candidate.takes(&of(None, &agent.to_string()), &key)).count();
    assert!((400..800).contains(&taken), "{taken} of 2000 agents");
}

#[test]
fn named_agents_are_taken_whatever_the_share() {
    let (candidate, _) = candidate(Trial { canary_agents: vec!["test-*".to_owned()], ..Trial::default() });
    let key = RandomState::new();
    let of = |agent: &str| candidate.takes(&Call { agent: agent.into(), ..call("{}") }, &key);
    assert_eq!((of("test-1"), of("bot"), candidate.standing()), (true, false, Standing::Canary));
    assert!(
        Candidate::new(
            generation(),
            generation(),
            Trial { canary_agents: vec!["[".to_owned()], ..Trial::default() },
            false
        )
        .is_err()
    );
}

#[test]
fn too_many_traps_withdraw_it_and_the_evidence_says_how_many() {
    let (candidate, _) = canary(Bounds { max_trap_rate: Some(0.2), ..none() });
    for _ in 0..7 {
        assert_eq!(candidate.count(true, &fine(), MS), None);
    }
    // Two of nine calls are too few calls, not too few traps.
    assert_eq!((candidate.count(true, &trap(), MS), candidate.count(true, &trap(), MS)), (None, None));
    let evidence = candidate.count(true, &trap(), MS).unwrap().clone();
    assert_eq!((evidence.bound, evidence.candidate.calls, evidence.candidate.traps), ("max_trap_rate", 10, 3));
    assert!(evidence.line().starts_with("max_trap_rate 0.3000 is more than 0.2000; candidate: 10 calls, 3 traps"));
    assert_eq!((candidate.standing(), candidate.evidence()), (Standing::Withdrawn, Some(&evidence)));
    assert!(!candidate.takes(&call("{}"), &RandomState::new()));
    assert_eq!(candidate.count(true, &trap(), MS), None, "once");
}

#[test]
fn traps_of_long_ago_do_not_count() {
    let (candidate, time) = canary(Bounds { max_trap_rate: Some(0.2), ..none() });
    (0..9).for_each(|_| assert_eq!(candidate.count(true, &trap(), MS), None));
    time.fetch_add(10_000, Ordering::SeqCst);
    (0..20).for_each(|_| assert_eq!(candidate.count(true, &fine(), MS), None));
    assert_eq!((candidate.figures().0.calls, candidate.figures().0.traps), (20, 0));
}

#[test]
fn deadlines_latency_and_denials_have_bounds_of_their_own() {
    let deadline = || said(Decision::Allow, Some(codes::PLUGIN_DEADLINE));
    let seen = |bounds: Bounds, own: &dyn Fn() -> Judgement, took: Duration| {
        let (candidate, _) = canary(bounds);
        (0..10).for_each(|_| assert_eq!(candidate.count(false, &fine(), MS), None));
        (0..10).find_map(|_| candidate.count(true, &own(), took).map(|evidence| evidence.bound))
    };
    assert_eq!(seen(Bounds { max_deadline_rate: Some(0.1), ..none() }, &deadline, MS), Some("max_deadline_rate"));
    assert_eq!(seen(Bounds { max_trap_rate: Some(0.1), ..none() }, &deadline, MS), None);
    assert_eq!(seen(Bounds { max_p99_ms: Some(3), ..none() }, &fine, 5 * MS), Some("max_p99_ms"));
    assert_eq!(seen(Bounds { max_p99_ms: Some(3), ..none() }, &fine, MS), None);
    assert_eq!(seen(Bounds { max_latency_ratio: Some(4.0), ..none() }, &fine, 5 * MS), Some("max_latency_ratio"));
    assert_eq!(seen(Bounds { max_latency_ratio: Some(6.0), ..none() }, &fine, 5 * MS), None);
    let denies = || said(Decision::Deny, None);
    assert_eq!(seen(Bounds { max_deny_drift: Some(0.5), ..none() }, &denies, MS), Some("max_deny_drift"));
    assert_eq!(seen(none(), &trap, 60_000 * MS), None, "no bound, no end");
}

#[test]
fn one_slow_call_is_no_reason() {
    let (candidate, _) = canary(Bounds { max_latency_ratio: Some(2.0), ..none() });
    (0..10).for_each(|_| assert_eq!(candidate.count(false, &fine(), MS), None));
    assert_eq!(candidate.count(true, &fine(), 10_000 * MS), None);
    (0..20).for_each(|_| assert_eq!(candidate.count(true, &fine(), MS), None));
}

#[test]
fn what_is_compared_needs_calls_of_both_sides() {
    let (candidate, _) = canary(Bounds { max_deny_drift: Some(0.1), ..none() });
    let denies = said(Decision::Deny, None);
    (0..50).for_each(|_| assert_eq!(candidate.count(true, &denies, MS), None));
    (0..10).for_each(|_| assert_eq!(candidate.count(false, &fine(), MS), None));
    assert!(candidate.count(true, &denies, MS).is_some());
}

#[test]
fn calls_beside_another_generation_are_not_compared() {
    let (candidate, _) = canary(Bounds { max_trap_rate: Some(0.2), max_deny_drift: Some(0.1), ..none() });
    let denied = said(Decision::Deny, None);
    for _ in 0..9 {
        assert_eq!((candidate.count(true, &trap(), MS), candidate.count(false, &denied, MS)), (None, None));
    }
    candidate.compare_anew();
    for _ in 0..9 {
        assert_eq!((candidate.count(true, &fine(), MS), candidate.count(false, &fine(), MS)), (None, None));
    }
    assert_eq!(candidate.count(true, &fine(), MS), None, "what was before counts on neither side");
    assert_eq!(candidate.standing(), Standing::Canary);
}

#[test]
fn one_that_was_withdrawn_before_stays_so() {
    let trial = Trial { canary: 1.0, shadow: 1.0, ..Trial::default() };
    let candidate = Candidate::new(generation(), generation(), trial, true).unwrap();
    assert_eq!((candidate.standing(), candidate.evidence()), (Standing::Withdrawn, None));
    assert!(!candidate.takes(&call("{}"), &RandomState::new()));
    assert!(candidate.samples(&call("{}"), &RandomState::new()), "copies are judged all the same");
}

#[test]
fn buckets_hold_what_they_say() {
    let mut last = 0;
    for micros in (0..10_000).chain((1..32).map(|octave| 1_u64 << octave)).chain([u64::MAX]) {
        let mut buckets = EMPTY;
        buckets[bucket(micros)] += 1;
        let upper = percentile(&buckets, 99);
        // Never less, and at most a quarter more.
        assert!(micros == u64::MAX || (upper >= micros && upper <= micros + micros / 4 + 1), "{micros}: {upper}");
        last = last.max(bucket(micros));
    }
    assert_eq!((last, percentile(&EMPTY, 50)), (BUCKETS - 1, 0));
}
