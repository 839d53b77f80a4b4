use super::*;

/// A breaker whose time stands until it is moved.
fn breaker(settings: Quarantine) -> (Breaker, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&time);
    (Breaker::new(settings, Clock::of(move || clock.load(Ordering::SeqCst))), time)
}

fn small() -> Quarantine {
    Quarantine { faults: 3, calls: 5, window_ms: 1_000, cooldown_ms: 500, probes: 1 }
}

fn call(breaker: &Breaker, failed: bool) -> Option<Turn> {
    let pass = breaker.admit();
    assert_ne!(pass, Pass::Not, "the plugin is not asked");
    breaker.done(pass, failed)
}

#[test]
fn too_many_faults_among_the_latest_calls_put_it_in_quarantine() {
    let (breaker, _) = breaker(small());
    for failed in [true, false, true, false] {
        assert_eq!(call(&breaker, failed), None);
    }
    assert_eq!(call(&breaker, true), Some(Turn::Quarantined));
    assert_eq!((breaker.admit(), breaker.admit()), (Pass::Not, Pass::Not));
    assert_eq!((breaker.is_open(), breaker.quarantines(), breaker.skipped()), (true, 1, 2));
}

#[test]
fn faults_that_good_calls_have_pushed_out_do_not_count() {
    let (breaker, _) = breaker(small());
    for failed in [true, true, false, false, false, true, true, false, false, false, true] {
        assert_eq!(call(&breaker, failed), None);
    }
    assert!(!breaker.is_open());
}

#[test]
fn faults_of_long_ago_do_not_count() {
    let (breaker, time) = breaker(small());
    call(&breaker, true);
    call(&breaker, true);
    time.fetch_add(1_001, Ordering::SeqCst);
    assert_eq!(call(&breaker, true), None);
    assert_eq!(call(&breaker, true), None);
    assert_eq!(call(&breaker, true), Some(Turn::Quarantined));
}

#[test]
fn after_the_cool_down_one_call_is_let_through_and_its_success_ends_the_quarantine() {
    let (breaker, time) = breaker(small());
    (0..3).for_each(|_| _ = call(&breaker, true));
    time.fetch_add(499, Ordering::SeqCst);
    assert_eq!(breaker.admit(), Pass::Not);
    time.fetch_add(1, Ordering::SeqCst);
    let probe = breaker.admit();
    assert!(matches!(probe, Pass::Probe(_)));
    assert_eq!(breaker.admit(), Pass::Not, "one at a time");
    assert_eq!(breaker.done(probe, false), Some(Turn::Recovered));
    // What it did before is forgotten.
    assert_eq!((call(&breaker, true), call(&breaker, true)), (None, None));
    assert_eq!(call(&breaker, true), Some(Turn::Quarantined));
    assert_eq!(breaker.quarantines(), 2);
}

#[test]
fn a_probe_that_fails_begins_another_cool_down() {
    let (breaker, time) = breaker(small());
    (0..3).for_each(|_| _ = call(&breaker, true));
    time.fetch_add(500, Ordering::SeqCst);
    let probe = breaker.admit();
    time.fetch_add(100, Ordering::SeqCst);
    assert_eq!(breaker.done(probe, true), None);
    time.fetch_add(499, Ordering::SeqCst);
    assert_eq!(breaker.admit(), Pass::Not);
    time.fetch_add(1, Ordering::SeqCst);
    assert!(matches!(breaker.admit(), Pass::Probe(_)));
}

#[test]
fn several_probes_must_succeed_in_a_row_if_asked_for() {
    let (breaker, time) = breaker(Quarantine { probes: 2, ..small() });
    (0..3).for_each(|_| _ = call(&breaker, true));
    time.fetch_add(500, Ordering::SeqCst);
    assert_eq!(call(&breaker, false), None);
    assert_eq!(call(&breaker, true), None);
    time.fetch_add(500, Ordering::SeqCst);
    assert_eq!((call(&breaker, false), call(&breaker, false)), (None, Some(Turn::Recovered)));
}

#[test]
fn a_probe_that_never_comes_back_is_followed_by_another() {
    let (breaker, time) = breaker(small());
    (0..3).for_each(|_| _ = call(&breaker, true));
    time.fetch_add(500, Ordering::SeqCst);
    let lost = breaker.admit();
    time.fetch_add(500, Ordering::SeqCst);
    let probe = breaker.admit();
    assert!(matches!(probe, Pass::Probe(_)) && probe != lost);
    assert_eq!(breaker.done(lost, false), None, "it comes too late to say anything");
    assert!(breaker.is_open());
    assert_eq!(breaker.done(probe, false), Some(Turn::Recovered));
}

#[test]
fn calls_that_began_before_the_quarantine_neither_end_nor_repeat_it() {
    let (breaker, _) = breaker(small());
    let early: Vec<_> = (0..5).map(|_| breaker.admit()).collect();
    let turns: Vec<_> = early.into_iter().map(|pass| breaker.done(pass, true)).collect();
    assert_eq!(turns.iter().flatten().count(), 1);
    assert_eq!(breaker.done(Pass::Free, false), None);
    assert!(breaker.is_open());
}

#[test]
fn many_threads_open_it_once_and_take_one_probe() {
    let (breaker, time) = breaker(small());
    let (breaker, turns, probes) = (&breaker, AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let pass = breaker.admit();
                    turns.fetch_add(u32::from(breaker.done(pass, true).is_some()), Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(turns.load(Ordering::SeqCst), 1);
    time.fetch_add(500, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let probe = matches!(breaker.admit(), Pass::Probe(_));
                probes.fetch_add(u32::from(probe), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(probes.load(Ordering::SeqCst), 1);
}
