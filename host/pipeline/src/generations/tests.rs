use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_engine::Run;
use portcullis_model::{AttributedFinding, Decision, Finding, Plan, Reason, Verdict, codes};

use super::*;
use crate::judge::tests::{Log, call, verdict};
use crate::judge::{Ask, Stage};
use crate::{Bounds, MAX_WAITING, Standing, Trial};

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

fn by(name: &str) -> Activation {
    Activation { at_ms: 1, by: name.into(), why: Why::Reload }
}

/// Puts it in force and gives it up.
fn put(generations: &Generations, generation: Arc<Generation>) -> Option<Digest> {
    generations.activate(&generation, by("ann"))
}

fn ids(generations: &Generations) -> Vec<Digest> {
    generations.history("one").iter().map(|past| past.generation.id()).collect()
}

fn id(number: u64) -> Digest {
    Digest::of(format!("g{number}").as_bytes())
}

fn keeping(keep: usize) -> Generations {
    Generations::keeping(keep, Arc::new(|_| ()))
}

fn call_of(tenant: &str) -> Call {
    Call { tenant: tenant.into(), ..call("{}") }
}

#[test]
fn a_tenant_without_a_generation_has_no_verdict() {
    let generations = Generations::new();
    put(&generations, generation("one", 1));
    assert!(generations.judge(&call_of("two")).is_none());
    assert!(generations.judge(&call_of("one")).is_some());
}

#[test]
fn activation_changes_one_tenant_and_tells_what_it_replaced() {
    let generations = Generations::new();
    assert_eq!(put(&generations, generation("one", 1)), None);
    assert_eq!(put(&generations, generation("two", 2)), None);
    assert_eq!(put(&generations, generation("one", 3)), Some(Digest::of(b"g1")));
    assert_eq!(generations.current("two").unwrap().id(), Digest::of(b"g2"));
    let tenants: Vec<_> = generations.all().iter().map(|generation| generation.tenant().to_string()).collect();
    assert_eq!(tenants, ["one", "two"]);
    put(&generations, generation("three", 4));
    generations.retain(|tenant| tenant == "three");
    assert!(generations.current("one").is_none() && generations.current("three").is_some());
    assert!(generations.history("one").is_empty());
}

#[test]
fn calls_in_flight_finish_on_the_generation_they_started_with() {
    let generations = Generations::new();
    let first = generation("one", 0);
    let kept = Arc::downgrade(&first);
    put(&generations, first);
    let in_flight = generations.current("one").unwrap();
    put(&generations, generation("one", 1));
    assert_eq!(in_flight.judge(&call_of("one")).reasons[0].code, "g0");
    drop(in_flight);
    assert!(kept.upgrade().is_none(), "a replaced generation goes with its last call");
}

#[test]
fn no_call_is_lost_or_mixed_up_while_generations_change() {
    let generations = Generations::new();
    put(&generations, generation("one", 0));
    put(&generations, generation("two", 0));
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
                put(&generations, generation("one", number)),
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

#[test]
fn the_latest_generations_are_kept_and_older_ones_go() {
    let generations = keeping(2);
    let kept: Vec<_> = (0..5)
        .map(|number| {
            let generation = generation("one", number);
            let weak = Arc::downgrade(&generation);
            put(&generations, generation);
            weak
        })
        .collect();
    assert_eq!(ids(&generations), [id(4), id(3), id(2)]);
    let alive: Vec<_> = kept.iter().map(|weak| weak.upgrade().is_some()).collect();
    assert_eq!(alive, [false, false, true, true, true]);
    assert!(generations.kept("one", id(2)).is_some() && generations.kept("one", id(1)).is_none());
    assert!(generations.kept("two", id(2)).is_none(), "another tenant's");
}

#[test]
fn a_generation_that_comes_again_stands_once_in_the_history() {
    let generations = keeping(5);
    (0..3).for_each(|number| _ = put(&generations, generation("one", number)));
    let first = generations.kept("one", id(0)).unwrap();
    assert_eq!(generations.activate(&first, by("bob")), Some(id(2)));
    assert_eq!(ids(&generations), [id(0), id(2), id(1)]);
    let newest = generations.history("one").remove(0);
    assert_eq!((&*newest.activation.by, newest.from), ("bob", Some(id(2))));
    // Read again unchanged: nothing that is worth a line.
    put(&generations, generation("one", 0));
    assert_eq!((ids(&generations).len(), &*generations.history("one")[0].activation.by), (3, "bob"));
}

#[test]
fn what_the_configuration_says_is_kept_however_old() {
    let generations = keeping(1);
    put(&generations, generation("one", 0));
    generations.configure(&"one".into(), id(0));
    (1..9).for_each(|number| _ = put(&generations, generation("one", number)));
    assert_eq!(ids(&generations), [id(8), id(0)]);
    let configured: Vec<_> = generations.history("one").iter().map(|past| past.configured).collect();
    assert_eq!((configured, generations.configured("one")), (vec![false, true], Some(id(0))));
}

fn candidate(generation: &Arc<Generation>, shadow: &Arc<Generation>, trial: Trial) -> Arc<Candidate> {
    Arc::new(Candidate::new(Arc::clone(generation), Arc::clone(shadow), trial, false).unwrap())
}

#[test]
fn a_canary_beyond_its_bound_is_withdrawn_and_told_of_once_while_many_calls_are_judged() {
    let told = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&told);
    let generations = Generations::keeping(
        1,
        Arc::new(move |notice: &Notice<'_>| {
            if let News::Withdrawn(evidence) = notice.news {
                assert_eq!((evidence.bound, notice.generation.id()), ("max_trap_rate", id(1)));
                heard.fetch_add(1, Ordering::SeqCst);
            }
        }),
    );
    put(&generations, generation("one", 0));
    let traps = Log::default().rule("r", |_| Err(portcullis_engine::Fault::Trap("on purpose".to_owned())));
    let bad = Arc::new(Generation::of_stages("one", id(1), vec![traps]));
    let bounds = Bounds { min_calls: 50, max_trap_rate: Some(0.1), ..Bounds::default() };
    let tried = candidate(&bad, &bad, Trial { canary: 1.0, bounds, ..Trial::default() });
    assert!(generations.try_out("one", Some(Arc::clone(&tried))) && !generations.try_out("two", None));
    assert!(generations.serves("one", id(0)) && generations.serves("one", id(1)) && !generations.serves("two", id(1)));
    let trapped = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let judgement = generations.judge(&call_of("one")).unwrap();
                    let code = judgement.reasons[0].code.as_str();
                    assert_eq!(code == codes::PLUGIN_TRAP, judgement.generation == id(1));
                    trapped.fetch_add(u64::from(judgement.generation == id(1)), Ordering::SeqCst);
                }
            });
        }
    });
    // Those under way when it was seen finish where they began.
    let trapped = trapped.load(Ordering::SeqCst);
    assert!((50..=53).contains(&trapped), "{trapped}");
    assert_eq!((told.load(Ordering::SeqCst), tried.standing()), (1, Standing::Withdrawn));
    assert!(!generations.serves("one", id(1)));
    assert_eq!(generations.judge(&call_of("one")).unwrap().generation, id(0));
}

#[test]
fn copies_that_find_no_room_are_given_up_and_hold_nothing_up() {
    let generations = keeping(1);
    put(&generations, generation("one", 0));
    let gate = Arc::new(Mutex::new(()));
    let slow = Arc::clone(&gate);
    let rule = Log::default().rule("r", move |_| {
        drop(slow.lock().unwrap());
        Ok(verdict(Decision::Allow, &[]))
    });
    let shadow = Arc::new(Generation::of_stages("one", id(1), vec![rule]));
    let tried = candidate(&generation("one", 1), &shadow, Trial { shadow: 1.0, ..Trial::default() });
    generations.try_out("one", Some(Arc::clone(&tried)));
    let held = gate.lock().unwrap();
    for number in 0..MAX_WAITING + 50 {
        let call = Call { tool: format!("tool-{number}").into(), ..call_of("one") };
        assert_eq!(generations.judge(&call).unwrap().generation, id(0));
    }
    let report = tried.report();
    assert_eq!((report.sampled, report.judged), (MAX_WAITING as u64 + 50, 0));
    // One is being judged, or is about to be.
    assert!((49..=50).contains(&report.dropped), "{}", report.dropped);
    drop(held);
    while tried.report().judged < report.sampled - report.dropped {
        std::thread::yield_now();
    }
    let report = tried.report();
    assert_eq!((report.changed, report.examples.len()), (report.judged, crate::MAX_EXAMPLES));
    // Dropped, it is asked no more.
    generations.try_out("one", None);
    let before = tried.report().sampled;
    let _judgement = generations.judge(&call_of("one"));
    assert_eq!((tried.report().sampled, generations.candidate("one").is_none()), (before, true));
}

/// A plugin of which it is known how many have it in use, and whether it is at rest.
#[derive(Debug)]
struct Kept {
    inner: Box<dyn Ask>,
    users: Arc<AtomicI32>,
    filled: Arc<AtomicBool>,
    long: bool,
    free: Arc<AtomicBool>,
    words: Arc<AtomicBool>,
}

impl Ask for Kept {
    fn inspect(&self, call: &Call) -> Run<Vec<Finding>> {
        self.inner.inspect(call)
    }
    fn decide(&self, call: &Call, findings: &[AttributedFinding]) -> Run<Verdict> {
        self.inner.decide(call, findings)
    }
    fn route(&self, call: &Call, findings: &[AttributedFinding], reasons: &[Reason]) -> Run<Plan> {
        self.inner.route(call, findings, reasons)
    }
    fn may_take_long(&self) -> bool {
        self.long
    }
    fn starts_at_once(&self) -> bool {
        self.free.load(Ordering::SeqCst)
    }
    fn keep_words(&self, keep: bool) {
        self.words.store(keep, Ordering::SeqCst);
    }
    fn employ(&self) {
        self.users.fetch_add(1, Ordering::SeqCst);
    }
    fn fill_until(&self, _latest: Instant) {
        assert!(self.users.load(Ordering::SeqCst) > 0, "nothing is kept of what is made for nobody");
        self.filled.store(true, Ordering::SeqCst);
    }
    fn retire(&self) {
        let before = self.users.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "retired more often than put to use");
        if before == 1 {
            self.filled.store(false, Ordering::SeqCst);
        }
    }
}

/// A generation whose only rule is such a plugin.
struct Watched {
    generation: Arc<Generation>,
    users: Arc<AtomicI32>,
    filled: Arc<AtomicBool>,
    free: Arc<AtomicBool>,
    words: Arc<AtomicBool>,
}

impl Watched {
    fn new(number: u64, decision: Decision, long: bool) -> Self {
        let stage = Log::default().rule("r", move |_| Ok(verdict(decision, &["because"])));
        let (users, filled) = (Arc::default(), Arc::default());
        let (free, words) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let Stage { plugin: inner, .. } = stage;
        let kept = Kept {
            inner,
            users: Arc::clone(&users),
            filled: Arc::clone(&filled),
            long,
            free: Arc::clone(&free),
            words: Arc::clone(&words),
        };
        let stage = Stage { plugin: Box::new(kept), ..Log::default().rule("r", |_| unreachable!()) };
        let generation = Arc::new(Generation::of_stages("one", id(number), vec![stage]));
        Self { generation, users, filled, free, words }
    }

    /// Whether so many have it in use.
    fn is(&self, users: i32) -> bool {
        self.users.load(Ordering::SeqCst) == users
    }

    fn is_filled(&self) -> bool {
        self.filled.load(Ordering::SeqCst)
    }
}

#[test]
fn only_what_judges_calls_keeps_instances_ready() {
    let generations = keeping(3);
    let [first, second] = [1, 2].map(|number| Watched::new(number, Decision::Allow, false));
    put(&generations, Arc::clone(&first.generation));
    assert!(first.is(1));
    put(&generations, Arc::clone(&second.generation));
    assert!(first.is(0) && second.is(1), "an earlier generation that is kept has nothing ready");
    // Back, and put once more.
    put(&generations, Arc::clone(&first.generation));
    put(&generations, Arc::clone(&first.generation));
    assert!(first.is(1) && second.is(0));
    // On trial in shadow: only the one that sees copies.
    let (tried, shadow) = (Watched::new(3, Decision::Deny, false), Watched::new(3, Decision::Deny, false));
    let trial = Trial { shadow: 1.0, ..Trial::default() };
    let on_trial = candidate(&tried.generation, &shadow.generation, trial);
    generations.try_out("one", Some(on_trial));
    assert!(tried.is(0) && shadow.is(1) && first.is(1));
    generations.try_out("one", None);
    assert!(shadow.is(0) && first.is(1));
    // As a canary, until it is withdrawn.
    let bounds = Bounds { min_calls: 5, max_deny_drift: Some(0.1), ..Bounds::default() };
    let agents = vec!["bold".to_owned()];
    let trial = Trial { canary_agents: agents, bounds, ..Trial::default() };
    let on_trial = candidate(&tried.generation, &shadow.generation, trial);
    generations.try_out("one", Some(Arc::clone(&on_trial)));
    assert!(tried.is(1) && shadow.is(0));
    for _ in 0..5 {
        let _own = generations.judge(&Call { agent: "shy".into(), ..call_of("one") });
        let _other = generations.judge(&Call { agent: "bold".into(), ..call_of("one") });
    }
    assert_eq!(on_trial.standing(), Standing::Withdrawn);
    assert!(tried.is(0) && first.is(1));
    generations.try_out("one", None);
    // The same generation in force and on trial is in use twice.
    put(&generations, Arc::clone(&tried.generation));
    generations.try_out(
        "one",
        Some(candidate(&tried.generation, &tried.generation, Trial { shadow: 1.0, ..Trial::default() })),
    );
    assert!(tried.is(2));
    generations.try_out("one", None);
    assert!(tried.is(1));
    generations.retain(|_| false);
    assert!(tried.is(0));
}

#[test]
fn what_is_made_ready_before_it_judges_calls_stays_so() {
    let generations = keeping(1);
    let watched = Watched::new(1, Decision::Allow, false);
    let latest = Instant::now() + Duration::from_secs(60);
    let warmed = watched.generation.warm(latest);
    assert!(watched.is(1) && watched.is_filled());
    put(&generations, Arc::clone(&watched.generation));
    drop(warmed);
    assert!(watched.is(1) && watched.is_filled());
    // What never judges calls keeps nothing.
    let other = Watched::new(2, Decision::Allow, false);
    drop(other.generation.warm(latest));
    assert!(other.is(0) && !other.is_filled());
}

#[test]
fn what_may_take_long_or_wait_for_a_slot_is_not_judged_at_once() {
    let generations = keeping(1);
    let long = Watched::new(1, Decision::Deny, true);
    put(&generations, Arc::clone(&long.generation));
    assert!(generations.judge_at_once(&call_of("one")).is_none() && !generations.waits(&call_of("one")));
    assert_eq!(generations.judge(&call_of("one")).unwrap().decision, Decision::Deny);
    let quick = Watched::new(2, Decision::Deny, false);
    put(&generations, Arc::clone(&quick.generation));
    assert_eq!(generations.judge_at_once(&call_of("one")).unwrap().unwrap().decision, Decision::Deny);
    quick.free.store(false, Ordering::SeqCst);
    assert!(generations.judge_at_once(&call_of("one")).is_none());
    assert_eq!(generations.judge_at_once(&call_of("two")).map(|judged| judged.is_none()), Some(true));
}

#[test]
fn words_are_carried_where_somebody_keeps_or_hears_them() {
    let generations = keeping(1);
    let live = Watched::new(1, Decision::Allow, false);
    let words = || live.words.load(Ordering::SeqCst);
    put(&generations, Arc::clone(&live.generation));
    assert!(!words(), "nobody wants them");
    generations.keep_words(["two".into()]);
    assert!(!words());
    generations.keep_words(["one".into()]);
    assert!(words());
    generations.keep_words([]);
    assert!(!words());
    let tried = Watched::new(2, Decision::Deny, false);
    let shadow = Watched::new(2, Decision::Deny, false);
    let on_trial = |trial| Some(candidate(&tried.generation, &shadow.generation, trial));
    generations.try_out("one", on_trial(Trial { shadow: 0.5, ..Trial::default() }));
    assert!(words() && !shadow.words.load(Ordering::SeqCst));
    // Nobody hears them where copies of calls ask for themselves.
    generations.try_out("one", on_trial(Trial { shadow: 0.5, outside: Outward::Send, ..Trial::default() }));
    assert!(!words());
    generations.try_out("one", None);
    assert!(!words() && live.is(1));
}
