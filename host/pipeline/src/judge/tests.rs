use std::sync::Mutex;

use portcullis_model::{Phase, Span};
use uuid::Uuid;

use super::*;
use crate::Selector;

pub(crate) fn call(payload: &str) -> Call {
    Call {
        id: Uuid::from_u128(1),
        phase: Phase::Call,
        tenant: "one".into(),
        agent: "bot".into(),
        session: None,
        persona: None,
        task: None,
        upstream: None,
        tool: "run".into(),
        payload: Arc::new(Document::parse(payload).unwrap()),
        time_ms: 1,
        attached: None,
    }
}

/// A plugin that answers by a function, and writes down who ran.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

type Answer<A, T> = Box<dyn Fn(&A) -> Result<T, Fault> + Send + Sync>;

struct Double {
    name: Arc<str>,
    role: Role,
    log: Log,
    inspect: Answer<Call, Vec<Finding>>,
    decide: Answer<(Call, Vec<AttributedFinding>), Verdict>,
    route: Answer<Vec<Reason>, Plan>,
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}

impl Double {
    fn run<T>(&self, result: Result<T, Fault>) -> Run<T> {
        self.log.0.lock().unwrap().push(self.name.to_string());
        let cost = PluginRun {
            name: Arc::clone(&self.name),
            role: self.role,
            digest: Digest::of(self.name.as_bytes()),
            fuel: 1,
            micros: 1,
            memory: 1,
            fault: None,
            answers: None,
            told: None,
        };
        Run { result, cost }
    }
}

impl Ask for Double {
    fn inspect(&self, call: &Call) -> Run<Vec<Finding>> {
        self.run((self.inspect)(call))
    }

    fn decide(&self, call: &Call, findings: &[AttributedFinding]) -> Run<Verdict> {
        self.run((self.decide)(&(call.clone(), findings.to_vec())))
    }

    fn route(&self, _: &Call, _: &[AttributedFinding], reasons: &[Reason]) -> Run<Plan> {
        self.run((self.route)(&reasons.to_vec()))
    }
}

impl Log {
    fn stage(&self, name: &str, role: Role) -> (Stage, Double) {
        let double = Double {
            name: name.into(),
            role,
            log: self.clone(),
            inspect: Box::new(|_| panic!("not a detector")),
            decide: Box::new(|_| panic!("not a rule")),
            route: Box::new(|_| panic!("not a router")),
        };
        let stage = Stage {
            name: name.into(),
            role,
            digest: Digest::of(name.as_bytes()),
            plugin: Box::new(Nobody),
            select: Selection::default(),
            on_failure: FailMode::Closed,
            stop_on: None,
            health: Arc::default(),
        };
        (stage, double)
    }

    fn detector(
        &self,
        name: &str,
        inspect: impl Fn(&Call) -> Result<Vec<Finding>, Fault> + Send + Sync + 'static,
    ) -> Stage {
        let (stage, double) = self.stage(name, Role::Detector);
        Stage { plugin: Box::new(Double { inspect: Box::new(inspect), ..double }), ..stage }
    }

    pub(crate) fn rule(
        &self,
        name: &str,
        decide: impl Fn(&(Call, Vec<AttributedFinding>)) -> Result<Verdict, Fault> + Send + Sync + 'static,
    ) -> Stage {
        let (stage, double) = self.stage(name, Role::Rule);
        Stage { plugin: Box::new(Double { decide: Box::new(decide), ..double }), ..stage }
    }

    fn router(&self, name: &str, route: impl Fn(&Vec<Reason>) -> Result<Plan, Fault> + Send + Sync + 'static) -> Stage {
        let (stage, double) = self.stage(name, Role::Router);
        Stage { plugin: Box::new(Double { route: Box::new(route), ..double }), ..stage }
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Takes the place of a plugin until the double is put in.
#[derive(Debug)]
struct Nobody;

impl Ask for Nobody {
    fn inspect(&self, _: &Call) -> Run<Vec<Finding>> {
        unreachable!()
    }
    fn decide(&self, _: &Call, _: &[AttributedFinding]) -> Run<Verdict> {
        unreachable!()
    }
    fn route(&self, _: &Call, _: &[AttributedFinding], _: &[Reason]) -> Run<Plan> {
        unreachable!()
    }
}

fn finding(category: &str) -> Finding {
    Finding { category: category.to_owned(), score: 0.9, message: "seen".to_owned(), spans: vec![] }
}

pub(crate) fn verdict(decision: Decision, codes: &[&str]) -> Verdict {
    let reasons = codes.iter().map(|code| reason(code, format!("because {code}"), "r")).collect();
    Verdict { decision, reasons, replacements: vec![] }
}

fn cut(pointer: &str, start: u32, end: u32, value: &str) -> Replacement {
    Replacement { span: Span { pointer: pointer.to_owned(), start, end }, value: value.to_owned() }
}

fn redaction(code: &str, replacements: &[Replacement]) -> Verdict {
    Verdict { replacements: replacements.to_vec(), ..verdict(Decision::Redact, &[code]) }
}

fn codes_of(outcome: &Outcome) -> Vec<&str> {
    outcome.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

fn every_fault() -> [Fault; 8] {
    [
        Fault::Trap("t".to_owned()),
        Fault::Fuel,
        Fault::Deadline,
        Fault::Memory,
        Fault::HostCalls,
        Fault::Oversize,
        Fault::BadAnswer("b".to_owned()),
        Fault::Guest("g".to_owned()),
    ]
}

fn clone_fault(fault: &Fault) -> Fault {
    every_fault().into_iter().find(|other| other.code() == fault.code()).unwrap()
}

#[test]
fn the_strongest_verdict_wins_whatever_the_order() {
    let all = [Decision::Allow, Decision::Redact, Decision::Review, Decision::Deny];
    for first in all {
        for second in all {
            for third in all {
                let log = Log::default();
                let stages: Vec<Stage> = [first, second, third]
                    .into_iter()
                    .enumerate()
                    .map(|(index, decision)| {
                        log.rule(&format!("r{index}"), move |_| {
                            Ok(match decision {
                                Decision::Redact => redaction("redact", &[cut("/a", 0, 1, "-")]),
                                Decision::Allow => Verdict::allow(),
                                other => verdict(other, &[other.as_str()]),
                            })
                        })
                    })
                    .collect();
                let outcome = judge(&stages, None, false, &call(r#"{"a":"bc"}"#), None);
                let strongest = first.max(second).max(third);
                assert_eq!(outcome.decision, strongest);
                assert_eq!(outcome.plan.is_some(), strongest == Decision::Review);
                let raw = outcome.replacement.as_ref().map(|document| document.raw());
                assert_eq!(raw, (strongest == Decision::Redact).then_some(r#"{"a":"-c"}"#));
                assert_eq!(outcome.plugins.len(), 3);
                // Strongest reason first, and each once.
                let mut expected: Vec<Decision> = vec![first, second, third];
                expected.sort_unstable_by_key(|decision| Reverse(*decision));
                expected.dedup();
                expected.retain(|decision| *decision != Decision::Allow);
                let expected: Vec<&str> = expected.iter().map(|decision| decision.as_str()).collect();
                assert_eq!(codes_of(&outcome), expected);
            }
        }
    }
}

#[test]
fn an_empty_pipeline_allows() {
    let outcome = judge(&[], None, true, &call("{}"), None);
    assert_eq!(outcome.decision, Decision::Allow);
    assert!(outcome.reasons.is_empty() && outcome.plugins.is_empty() && outcome.plan.is_none());
}

#[test]
fn rules_see_all_findings_with_their_detector_in_order() {
    let log = Log::default();
    let stages = [
        log.detector("d1", |_| Ok(vec![finding("x"), finding("y")])),
        log.detector("d2", |_| Ok(vec![])),
        log.detector("d3", |_| Ok(vec![finding("z")])),
        log.rule("r1", |(_, findings)| {
            let seen: Vec<_> = findings.iter().map(|f| format!("{}:{}", f.plugin, f.finding.category)).collect();
            assert_eq!(seen, ["d1:x", "d1:y", "d3:z"]);
            Ok(verdict(Decision::Review, &["seen"]))
        }),
        log.rule("r2", |(_, findings)| {
            assert_eq!(findings.len(), 3);
            Ok(Verdict::allow())
        }),
    ];
    let router = log.router("router", |reasons| {
        assert_eq!(reasons[0].code, "seen");
        Ok(Plan { quorum: 2, ..default_plan(&call("{}")) })
    });
    let outcome = judge(&stages, Some(&router), false, &call("{}"), None);
    assert_eq!(log.names(), ["d1", "d2", "d3", "r1", "r2", "router"]);
    assert_eq!(outcome.plugins.iter().map(|run| run.name.to_string()).collect::<Vec<_>>(), log.names());
    assert_eq!(outcome.plan.unwrap().quorum, 2);
    assert_eq!(outcome.findings.len(), 3);
}

#[test]
fn a_router_is_asked_about_reviews_only() {
    for decision in [Decision::Allow, Decision::Deny] {
        let log = Log::default();
        let stages = [log.rule("r", move |_| Ok(verdict(decision, &["x"])))];
        let router = log.router("router", |_| panic!("asked"));
        assert_eq!(judge(&stages, Some(&router), false, &call("{}"), None).decision, decision);
    }
}

#[test]
fn every_fault_counts_as_its_fail_mode_says() {
    for role in [Role::Detector, Role::Rule] {
        for fault in every_fault() {
            for (mode, decision) in [
                (FailMode::Closed, Decision::Deny),
                (FailMode::Review, Decision::Review),
                (FailMode::Open, Decision::Allow),
            ] {
                let log = Log::default();
                let (code, copy) = (fault.code(), clone_fault(&fault));
                let mut broken = match role {
                    Role::Detector => log.detector("broken", move |_| Err(clone_fault(&copy))),
                    _ => log.rule("broken", move |_| Err(clone_fault(&copy))),
                };
                broken.on_failure = mode;
                let stages = [broken, log.rule("fine", |_| Ok(Verdict::allow()))];
                let outcome = judge(&stages, None, false, &call("{}"), None);
                assert_eq!(outcome.decision, decision, "{code} {mode:?}");
                // Recorded in any mode; the rest still runs.
                assert_eq!(outcome.plugins[0].fault.as_deref(), Some(code));
                assert_eq!((outcome.plugins.len(), &outcome.plugins[1].fault), (2, &None));
                let health = &stages[0].health;
                assert_eq!((health.faults.load(Ordering::Relaxed), health.last_fault()), (1, Some(code)));
                if mode == FailMode::Open {
                    assert!(outcome.reasons.is_empty());
                } else {
                    assert_eq!((codes_of(&outcome), &*outcome.reasons[0].plugin), (vec![code], "broken"));
                    assert!(outcome.reasons[0].message.starts_with("plugin broken "));
                }
                assert_eq!(outcome.plan.is_some(), decision == Decision::Review);
            }
        }
    }
}

#[test]
fn an_open_failure_does_not_weaken_what_others_say() {
    let log = Log::default();
    let mut broken = log.rule("broken", |_| Err(Fault::Fuel));
    broken.on_failure = FailMode::Open;
    let stages = [broken, log.rule("strict", |_| Ok(verdict(Decision::Deny, &["no"])))];
    assert_eq!(judge(&stages, None, false, &call("{}"), None).decision, Decision::Deny);
}

#[test]
fn a_broken_router_never_loses_the_review() {
    for fault in every_fault() {
        for mode in [FailMode::Closed, FailMode::Review, FailMode::Open] {
            let log = Log::default();
            let (code, copy) = (fault.code(), clone_fault(&fault));
            let stages = [log.rule("r", |_| Ok(verdict(Decision::Review, &["ask"])))];
            let mut router = log.router("router", move |_| Err(clone_fault(&copy)));
            router.on_failure = mode;
            let outcome = judge(&stages, Some(&router), false, &call("{}"), None);
            assert_eq!(outcome.plugins[1].fault.as_deref(), Some(code));
            match mode {
                FailMode::Closed => {
                    assert_eq!((outcome.decision, outcome.plan.is_none()), (Decision::Deny, true));
                    assert_eq!(codes_of(&outcome), [code, "ask"]);
                }
                FailMode::Review => {
                    assert_eq!(codes_of(&outcome), ["ask", code]);
                    assert_eq!(outcome.plan.unwrap(), default_plan(&call("{}")));
                }
                FailMode::Open => {
                    assert_eq!(codes_of(&outcome), ["ask"]);
                    assert_eq!((outcome.decision, outcome.plan.is_some()), (Decision::Review, true));
                }
            }
        }
    }
}

#[test]
fn a_router_that_does_not_see_the_call_leaves_the_default_plan() {
    let log = Log::default();
    let stages = [log.rule("r", |_| Ok(verdict(Decision::Review, &["ask"])))];
    let mut router = log.router("router", |_| panic!("asked"));
    let other = Selector { tools: vec!["other".to_owned()], ..Selector::default() };
    router.select = Selection::new(&other).unwrap();
    let plan = judge(&stages, Some(&router), false, &call("{}"), None).plan.unwrap();
    assert_eq!((plan.approvers, plan.quorum, plan.deadline_seconds), (vec![Approver::Role("approver".into())], 1, 900));
}

#[test]
fn early_exit_skips_the_rest_once_the_verdict_is_strong_enough() {
    let run = |stop_on, decision| {
        let log = Log::default();
        let mut first = log.rule("first", move |_| {
            Ok(match decision {
                Decision::Redact => redaction("x", &[cut("/a", 0, 1, "-")]),
                other => verdict(other, &["x"]),
            })
        });
        first.stop_on = stop_on;
        let stages =
            [log.detector("d", |_| Ok(vec![])), first, log.rule("rest", |_| Ok(verdict(Decision::Deny, &["y"])))];
        let outcome = judge(&stages, None, false, &call(r#"{"a":"b"}"#), None);
        assert_eq!(outcome.plugins.len(), log.names().len());
        (outcome.decision, log.names().len() == 2)
    };
    assert_eq!(run(Some(Decision::Deny), Decision::Deny), (Decision::Deny, true));
    assert_eq!(run(Some(Decision::Deny), Decision::Review), (Decision::Deny, false));
    assert_eq!(run(Some(Decision::Review), Decision::Deny), (Decision::Deny, true));
    assert_eq!(run(Some(Decision::Review), Decision::Review), (Decision::Review, true));
    assert_eq!(run(Some(Decision::Redact), Decision::Redact), (Decision::Redact, true));
    assert_eq!(run(Some(Decision::Redact), Decision::Allow), (Decision::Deny, false));
    assert_eq!(run(None, Decision::Deny), (Decision::Deny, false));
}

#[test]
fn a_detector_that_fails_closed_can_end_the_run_too() {
    let log = Log::default();
    let mut broken = log.detector("broken", |_| Err(Fault::Deadline));
    broken.stop_on = Some(Decision::Deny);
    let stages = [broken, log.detector("d", |_| Ok(vec![])), log.rule("r", |_| Ok(Verdict::allow()))];
    assert_eq!(judge(&stages, None, false, &call("{}"), None).decision, Decision::Deny);
    assert_eq!(log.names(), ["broken"]);
}

#[test]
fn selectors_decide_who_runs() {
    let log = Log::default();
    let only = |phases: Vec<Phase>| Selection::new(&Selector { phases, ..Selector::default() }).unwrap();
    let mut results = log.rule("results", |_| Ok(verdict(Decision::Deny, &["x"])));
    results.select = only(vec![Phase::Result]);
    let mut calls = log.rule("calls", |_| Ok(Verdict::allow()));
    calls.select = only(vec![Phase::Call]);
    let stages = [results, calls];
    assert_eq!(judge(&stages, None, false, &call("{}"), None).decision, Decision::Allow);
    let result = Call { phase: Phase::Result, ..call("{}") };
    assert_eq!(judge(&stages, None, false, &result, None).decision, Decision::Deny);
    assert_eq!(log.names(), ["calls", "results"]);
}

#[test]
fn redactions_of_several_rules_are_made_together() {
    let log = Log::default();
    let stages = [
        log.rule("r1", |_| Ok(redaction("a", &[cut("/a", 2, 6, "<1>"), cut("/b/0", 0, 3, "<b>")]))),
        log.rule("r2", |_| Ok(redaction("b", &[cut("/a", 4, 8, "<2>"), cut("/a", 9, 10, "\"\\\n")]))),
        log.rule("r3", |_| Ok(redaction("b", &[cut("/a", 4, 8, "<2>")]))),
    ];
    let outcome = judge(&stages, None, false, &call(r#"{"a":"0123456789","n":1.50,"b":["xyz", "k"]}"#), None);
    let document = outcome.replacement.unwrap();
    assert_eq!(document.raw(), r#"{"a":"01<1>8\"\\\n","n":1.50,"b":["<b>", "k"]}"#);
    assert_eq!(codes_of(&Outcome { replacement: None, ..outcome }), ["a", "b"]);
}

#[test]
fn a_redaction_that_cannot_be_made_denies() {
    for bad in
        [cut("/none", 0, 1, "-"), cut("/a", 0, 99, "-"), cut("/a", 1, 2, "-"), cut("/n", 0, 1, "-"), cut("", 0, 0, "-")]
    {
        let log = Log::default();
        let stages = [log.rule("r", move |_| Ok(redaction("x", &[cut("/b", 0, 1, "-"), bad.clone()])))];
        for again in [false, true] {
            let outcome = judge(&stages, None, again, &call(r#"{"a":"ä","b":"c","n":1}"#), None);
            assert_eq!((outcome.decision, outcome.replacement.is_none()), (Decision::Deny, true));
            assert_eq!(codes_of(&outcome), [codes::REDACTION_FAILED, "x"]);
            assert_eq!(outcome.reasons[0].plugin, HOST);
        }
    }
}

#[test]
fn a_redaction_without_replacements_denies() {
    let log = Log::default();
    let stages = [
        log.rule("empty", |_| Ok(redaction("x", &[]))),
        log.rule("good", |_| Ok(redaction("y", &[cut("/a", 0, 1, "-")]))),
    ];
    let outcome = judge(&stages, None, false, &call(r#"{"a":"b"}"#), None);
    assert_eq!((outcome.decision, outcome.replacement.is_none()), (Decision::Deny, true));
    assert_eq!((&*outcome.reasons[0].code, &*outcome.reasons[0].plugin), (codes::REDACTION_FAILED, "empty"));
}

#[test]
fn a_refusal_without_reasons_gets_one() {
    for decision in [Decision::Deny, Decision::Review] {
        let log = Log::default();
        let stages = [log.rule("mute", move |_| Ok(verdict(decision, &[])))];
        let outcome = judge(&stages, None, false, &call("{}"), None);
        assert_eq!(
            (outcome.decision, codes_of(&outcome), &*outcome.reasons[0].plugin),
            (decision, vec!["unspecified"], "mute")
        );
    }
}

#[test]
fn too_many_findings_fail_the_detector_that_goes_beyond() {
    for (mode, decision) in
        [(FailMode::Closed, Decision::Deny), (FailMode::Review, Decision::Review), (FailMode::Open, Decision::Allow)]
    {
        let log = Log::default();
        let first = log.detector("first", |_| Ok(vec![finding("a"); MAX_FINDINGS - 1]));
        let mut second = log.detector("second", |_| Ok(vec![finding("b"); 2]));
        second.on_failure = mode;
        let stages = [
            first,
            second,
            log.rule("r", |(_, findings)| {
                assert_eq!(findings.len(), MAX_FINDINGS);
                Ok(Verdict::allow())
            }),
        ];
        let outcome = judge(&stages, None, false, &call("{}"), None);
        assert_eq!((outcome.decision, outcome.findings.len()), (decision, MAX_FINDINGS));
        assert_eq!(outcome.plugins[1].fault.as_deref(), Some(codes::PLUGIN_OVERSIZE));
        assert!(outcome.plugins[0].fault.is_none());
    }
}

#[test]
fn reasons_are_bounded_and_the_strongest_stay() {
    let log = Log::default();
    let many = |decision| {
        move |_: &_| {
            let reasons = (0..MAX_REASONS).map(|n| reason(&format!("{decision:?}{n}"), String::new(), "r")).collect();
            Ok(Verdict { decision, reasons, replacements: vec![] })
        }
    };
    let stages = [log.rule("r1", many(Decision::Review)), log.rule("r2", many(Decision::Deny))];
    let outcome = judge(&stages, None, false, &call("{}"), None);
    assert_eq!(outcome.reasons.len(), MAX_REASONS);
    assert!(outcome.reasons.iter().all(|reason| reason.code.starts_with("Deny")));
}

#[test]
fn a_redacted_payload_is_judged_again_only_when_asked() {
    // Takes the "b" out of "abc"; what is left, "ac", is what the other rule refuses.
    let stages = |log: &Log| {
        [
            log.detector("d", |call| Ok(vec![finding(call.payload.raw())])),
            log.rule("cut", |(call, _)| {
                let has = call.payload.raw().contains('b');
                Ok(if has { redaction("cut", &[cut("/a", 1, 2, "")]) } else { Verdict::allow() })
            }),
            log.rule("refuse", |(call, _)| {
                let bad = call.payload.raw().contains("ac");
                Ok(if bad { verdict(Decision::Deny, &["joined"]) } else { Verdict::allow() })
            }),
        ]
    };
    let log = Log::default();
    let outcome = judge(&stages(&log), None, false, &call(r#"{"a":"abc"}"#), None);
    assert_eq!((outcome.decision, outcome.replacement.unwrap().raw()), (Decision::Redact, r#"{"a":"ac"}"#));
    assert_eq!(log.names().len(), 3);

    let log = Log::default();
    let outcome = judge(&stages(&log), None, true, &call(r#"{"a":"abc"}"#), None);
    assert_eq!((outcome.decision, outcome.replacement.is_none()), (Decision::Deny, true));
    assert_eq!(codes_of(&outcome), ["joined", "cut"]);
    assert_eq!((log.names().len(), outcome.plugins.len(), outcome.findings.len()), (6, 6, 1));
}

#[test]
fn a_second_look_may_redact_more_but_there_is_no_third() {
    let log = Log::default();
    let stages = [log.rule("peel", |(call, _)| {
        let text = call.payload.root().get("a").and_then(|value| value.as_str()).unwrap().len();
        Ok(if text > 0 { redaction("peel", &[cut("/a", 0, 1, "")]) } else { Verdict::allow() })
    })];
    let outcome = judge(&stages, None, true, &call(r#"{"a":"wxyz"}"#), None);
    assert_eq!((outcome.decision, outcome.replacement.unwrap().raw()), (Decision::Redact, r#"{"a":"yz"}"#));
    assert_eq!(log.names().len(), 2);
}

/// A small generator, so that a failing case can be named by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn random_redactions_give_valid_json_and_nothing_of_what_was_covered() {
    let alphabet = ["a", "ß", "\"", "\\", "\n", "漢", "😀", "{", "\u{0}", "z"];
    for seed in 0..2000 {
        let random = &mut Random(seed);
        let mut texts: Vec<String> = Vec::new();
        for _ in 0..=random.below(3) {
            texts.push((0..random.below(12)).map(|_| alphabet[random.below(10) as usize]).collect());
        }
        let payload = serde_json::json!({ "list": texts, "n": 1 }).to_string();
        let mut covered: Vec<Vec<bool>> = texts.iter().map(|text| vec![false; text.len()]).collect();
        let mut rules: Vec<Vec<Replacement>> = Vec::new();
        for _ in 0..=random.below(3) {
            let mut replacements = Vec::new();
            for _ in 0..=random.below(3) {
                let at = random.below(texts.len() as u64) as usize;
                let bounds: Vec<usize> = (0..=texts[at].len()).filter(|i| texts[at].is_char_boundary(*i)).collect();
                let (x, y) = (random.below(bounds.len() as u64) as usize, random.below(bounds.len() as u64) as usize);
                let (start, end) = (bounds[x.min(y)], bounds[x.max(y)]);
                covered[at][start..end].fill(true);
                replacements.push(cut(&format!("/list/{at}"), start as u32, end as u32, "[#]"));
            }
            rules.push(replacements);
        }
        let log = Log::default();
        let stages: Vec<Stage> =
            rules.into_iter().map(|cuts| log.rule("r", move |_| Ok(redaction("x", &cuts)))).collect();
        let outcome = judge(&stages, None, false, &call(&payload), None);
        assert_eq!(outcome.decision, Decision::Redact, "seed {seed}");
        let document = outcome.replacement.unwrap();
        let parsed: serde_json::Value = serde_json::from_str(document.raw()).unwrap();
        for (at, text) in texts.iter().enumerate() {
            let kept: String =
                text.char_indices().filter(|(index, _)| !covered[at][*index]).map(|(_, character)| character).collect();
            let now = parsed["list"][at].as_str().unwrap().replace("[#]", "");
            assert_eq!(now, kept, "seed {seed}");
        }
        assert_eq!(parsed["n"], 1);
    }
}

#[test]
fn random_pipelines_obey_the_lattice() {
    for seed in 0..3000 {
        let random = &mut Random(seed);
        let log = Log::default();
        let mut expected = Decision::Allow;
        let mut stages = Vec::new();
        let rules = random.below(6);
        for index in 0..rules {
            let name = format!("r{index}");
            let decision =
                [Decision::Allow, Decision::Redact, Decision::Review, Decision::Deny][random.below(4) as usize];
            let mode = [FailMode::Closed, FailMode::Open, FailMode::Review][random.below(3) as usize];
            let broken = random.below(4) == 0;
            let mut stage = log.rule(&name, move |_| match (broken, decision) {
                (true, _) => Err(Fault::Fuel),
                (_, Decision::Redact) => Ok(redaction("x", &[cut("/a", 0, 1, "-")])),
                (_, other) => Ok(verdict(other, &["x"])),
            });
            stage.on_failure = mode;
            stages.push(stage);
            expected = expected.max(match (broken, mode) {
                (false, _) => decision,
                (true, FailMode::Closed) => Decision::Deny,
                (true, FailMode::Review) => Decision::Review,
                (true, FailMode::Open) => Decision::Allow,
            });
        }
        let outcome = judge(&stages, None, false, &call(r#"{"a":"b"}"#), None);
        assert_eq!(outcome.decision, expected, "seed {seed}");
        assert_eq!(outcome.replacement.is_some(), expected == Decision::Redact, "seed {seed}");
        assert_eq!(outcome.plan.is_some(), expected == Decision::Review, "seed {seed}");
        assert_eq!(outcome.plugins.len() as u64, rules, "seed {seed}");
        assert_eq!(outcome.reasons.is_empty(), expected == Decision::Allow, "seed {seed}");
    }
}

fn in_quarantine_after(faults: u32, stage: Stage) -> (Stage, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&time);
    let settings = Quarantine { faults, calls: faults, window_ms: 60_000, cooldown_ms: 500, probes: 1 };
    let health = Health::new(Some(settings), Clock::of(move || clock.load(Ordering::SeqCst)));
    (Stage { health: Arc::new(health), ..stage }, time)
}

#[test]
fn a_plugin_that_keeps_failing_is_not_asked_and_its_fail_mode_counts() {
    for (on_failure, decision) in
        [(FailMode::Closed, Decision::Deny), (FailMode::Review, Decision::Review), (FailMode::Open, Decision::Allow)]
    {
        let log = Log::default();
        let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let works = Arc::clone(&broken);
        let stage =
            log.rule("r", move |_| if works.load(Ordering::SeqCst) { Err(Fault::Fuel) } else { Ok(Verdict::allow()) });
        let (stage, time) = in_quarantine_after(2, Stage { on_failure, ..stage });
        let stages = [stage];
        let run = || judge(&stages, None, false, &call("{}"), None);
        assert!(run().turns.is_empty());
        assert_eq!(run().turns, [("r".into(), Turn::Quarantined)]);
        let left_out = run();
        assert_eq!((left_out.decision, log.names().len()), (decision, 2));
        assert_eq!(left_out.plugins[0].fault.as_deref(), Some(codes::PLUGIN_QUARANTINED));
        assert_eq!((left_out.plugins[0].fuel, left_out.plugins[0].digest), (0, Digest::of(b"r")));
        let said = codes_of(&left_out);
        assert_eq!(said, if decision == Decision::Allow { vec![] } else { vec![codes::PLUGIN_QUARANTINED] });
        let health = &stages[0].health;
        assert_eq!((health.calls.load(Ordering::SeqCst), health.faults.load(Ordering::SeqCst)), (2, 2));
        assert_eq!(health.last_fault(), Some(codes::PLUGIN_FUEL));
        time.fetch_add(500, Ordering::SeqCst);
        broken.store(false, Ordering::SeqCst);
        let probe = run();
        assert_eq!((probe.decision, probe.turns), (Decision::Allow, vec![("r".into(), Turn::Recovered)]));
        assert_eq!(run().decision, Decision::Allow);
    }
}

#[test]
fn a_detector_that_finds_too_much_is_put_in_quarantine_and_does_not_recover_by_it() {
    let log = Log::default();
    let detector = log.detector("d", |_| Ok(vec![finding("a"); MAX_FINDINGS + 1]));
    let (stage, time) = in_quarantine_after(2, detector);
    let stages = [stage];
    let run = || judge(&stages, None, false, &call("{}"), None);
    assert!(run().turns.is_empty());
    assert_eq!(run().turns, [("d".into(), Turn::Quarantined)]);
    time.fetch_add(500, Ordering::SeqCst);
    let probe = run();
    assert_eq!(probe.plugins[0].fault.as_deref(), Some(codes::PLUGIN_OVERSIZE));
    assert!(probe.turns.iter().all(|(_, turn)| *turn != Turn::Recovered), "{:?}", probe.turns);
    assert_eq!(run().plugins[0].fault.as_deref(), Some(codes::PLUGIN_QUARANTINED));
    assert_eq!(stages[0].health.faults.load(Ordering::SeqCst), 3, "each is counted once");
}

#[test]
fn a_router_in_quarantine_counts_as_its_fail_mode_says() {
    let log = Log::default();
    let wants = log.rule("r", |_| Ok(verdict(Decision::Review, &["money"])));
    let (router, _) = in_quarantine_after(1, log.router("p", |_| Err(Fault::Deadline)));
    let stages = [wants];
    assert_eq!(judge(&stages, Some(&router), false, &call("{}"), None).turns, [("p".into(), Turn::Quarantined)]);
    let left_out = judge(&stages, Some(&router), false, &call("{}"), None);
    assert_eq!((left_out.decision, &left_out.plan), (Decision::Deny, &None));
    assert!(codes_of(&left_out).contains(&codes::PLUGIN_QUARANTINED));
}

/// Asks somebody, and cannot do without the answer.
#[derive(Debug)]
struct Needy(Option<Arc<Heard>>);

impl Ask for Needy {
    fn inspect(&self, _: &Call) -> Run<Vec<Finding>> {
        let told = self.0.as_ref().is_some_and(|heard| heard.send(Digest::of(b"question"), 0).is_ok());
        let result = if told { Ok(vec![]) } else { Err(Fault::Guest("nobody answers".to_owned())) };
        Log::default().stage("p", Role::Detector).1.run(result)
    }
    fn decide(&self, _: &Call, _: &[AttributedFinding]) -> Run<Verdict> {
        unreachable!()
    }
    fn route(&self, _: &Call, _: &[AttributedFinding], _: &[Reason]) -> Run<Plan> {
        unreachable!()
    }
    fn hearing(&self, heard: &Arc<Heard>) -> Option<Box<dyn Ask>> {
        Some(Box::new(Self(Some(Arc::clone(heard)))))
    }
}

#[test]
fn a_plugin_that_fails_because_nothing_is_sent_for_it_is_not_put_in_quarantine() {
    let (stage, _) = Log::default().stage("p", Role::Detector);
    let (stage, _) = in_quarantine_after(2, Stage { plugin: Box::new(Needy(None)), ..stage });
    let stages = [stage];
    let heard = Arc::new(Heard::default());
    for asked in 1..=5 {
        let outcome = judge(&stages, None, false, &call("{}"), Some(&heard));
        assert_eq!((codes_of(&outcome), heard.unsent()), (vec![codes::PLUGIN_ERROR], asked));
    }
    let codes: Vec<_> = (0..3).map(|_| codes_of(&judge(&stages, None, false, &call("{}"), None)).concat()).collect();
    assert_eq!(codes, [codes::PLUGIN_ERROR, codes::PLUGIN_ERROR, codes::PLUGIN_QUARANTINED]);
}
