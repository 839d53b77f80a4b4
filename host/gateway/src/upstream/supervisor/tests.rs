use super::*;

const RESTARTS: Restarts =
    Restarts { first: Duration::from_millis(250), most: Duration::from_secs(30), well_after: Duration::from_secs(10) };

/// A clock of the test's own.
struct Clock(Instant);

impl Clock {
    fn after(&self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }
}

#[test]
fn the_wait_doubles_up_to_its_bound() {
    let waits: Vec<u128> = (0..12).map(|failures| RESTARTS.wait(failures).as_millis()).collect();
    assert_eq!(waits, [0, 0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    assert_eq!(RESTARTS.wait(u32::MAX), RESTARTS.most);
}

#[test]
fn the_second_failure_in_a_row_has_to_wait_and_one_trial_is_made_at_a_time() {
    let (clock, mut history) = (Clock(Instant::now()), History::default());
    for at in [0, 10] {
        let number = history.begin(clock.after(at), &RESTARTS).unwrap();
        assert!(history.end(number, Some(Ending::Itself), clock.after(at), &RESTARTS));
    }
    let wait = history.begin(clock.after(10), &RESTARTS).unwrap_err();
    assert_eq!((wait.rest.as_millis(), wait.seconds()), (250, 1));
    assert!(wait.to_string().contains("tried again in 1 s"), "{wait}");
    let trial = history.begin(clock.after(260), &RESTARTS).unwrap();
    assert!(history.begin(clock.after(261), &RESTARTS).is_err(), "the trial goes on");
    assert!(history.end(trial, Some(Ending::NotStarted), clock.after(300), &RESTARTS));
    assert_eq!(history.begin(clock.after(300), &RESTARTS).unwrap_err().rest.as_millis(), 500);
}

#[test]
fn a_child_that_runs_well_lets_the_failures_be_forgotten() {
    let (clock, mut history) = (Clock(Instant::now()), History::default());
    let old = history.begin(clock.after(0), &RESTARTS).unwrap();
    for _ in 0..2 {
        let number = history.begin(clock.after(10), &RESTARTS).unwrap();
        history.end(number, Some(Ending::Itself), clock.after(20), &RESTARTS);
    }
    assert!(history.begin(clock.after(30), &RESTARTS).is_err());
    // It was started before the others failed: that it runs says nothing about them.
    assert!(history.begin(clock.after(10_100), &RESTARTS).is_ok(), "the wait is over");
    assert_eq!(history.failures, 2);
    assert!(history.begin(clock.after(20_200), &RESTARTS).is_ok());
    assert_eq!(history.failures, 0, "the trial ran well");
    assert!(!history.end(old, Some(Ending::Itself), clock.after(30_000), &RESTARTS), "it ran for long enough");
}

#[test]
fn a_child_that_answered_and_was_to_end_did_well() {
    let (clock, mut history) = (Clock(Instant::now()), History::default());
    let number = history.begin(clock.after(0), &RESTARTS).unwrap();
    history.end(number, Some(Ending::Itself), clock.after(1), &RESTARTS);
    let number = history.begin(clock.after(2), &RESTARTS).unwrap();
    assert!(!history.end(number, None, clock.after(3), &RESTARTS));
    assert_eq!(history.failures, 1, "not a word is no proof");
    let number = history.begin(clock.after(4), &RESTARTS).unwrap();
    assert!(!history.end(number, Some(Ending::Asked), clock.after(5), &RESTARTS));
    assert!(history.is_clean());
}

#[tokio::test]
async fn tenants_and_upstreams_wait_for_themselves_and_nothing_is_kept() {
    let metrics = crate::metrics::Metrics::new();
    let supervisor = Supervisor::new(RESTARTS, metrics.mcp_children());
    let (one, two, files): (Arc<str>, Arc<str>, Arc<str>) = ("one".into(), "two".into(), "files".into());
    for _ in 0..2 {
        supervisor.begin(&one, &files).ok().unwrap().end(Ending::Itself);
    }
    assert!(supervisor.check(&one, &files).is_err());
    assert!(supervisor.begin(&one, &files).is_err());
    assert!(supervisor.begin(&one, &"mail".into()).is_ok());
    assert!(supervisor.check(&two, &files).is_ok());
    supervisor.begin(&two, &files).ok().unwrap().end(Ending::Asked);
    let kept: Vec<Key> = supervisor.histories().keys().cloned().collect();
    assert_eq!(kept, [(one, files)]);
}
