use std::sync::atomic::AtomicU32;

use portcullis_model::{Approver, Document, Phase};

use super::*;

const NOW: u64 = 1_800_000_000_000;
const CALL: Uuid = Uuid::from_u128(7);

fn call(tenant: &str, agent: &str, arguments: &str) -> Call {
    Call {
        id: Uuid::from_u128(7),
        phase: Phase::Call,
        tenant: tenant.into(),
        agent: agent.into(),
        session: None,
        persona: None,
        task: None,
        upstream: Some("bank".into()),
        tool: "pay".into(),
        payload: Arc::new(Document::parse(arguments).unwrap()),
        time_ms: NOW,
        attached: None,
    }
}

fn plan(quorum: u32) -> Plan {
    Plan {
        approvers: vec![Approver::Role("approver".to_owned())],
        quorum,
        deadline_seconds: 900,
        channels: vec![],
        escalation: vec![],
        summary: "a payment".to_owned(),
        may_modify: false,
    }
}

fn reason(code: &str) -> Reason {
    Reason { code: code.into(), message: "moves money".into(), plugin: "rule".into() }
}

fn park_call(approvals: &Approvals, call: &Call, quorum: u32) -> Result<Change, ParkError> {
    park_for(approvals, call, quorum, &[reason("payment")])
}

fn park_for(approvals: &Approvals, call: &Call, quorum: u32, reasons: &[Reason]) -> Result<Change, ParkError> {
    approvals.park(&ParkRequest {
        call,
        digest: call.digest(),
        generation: Digest::of(b"generation"),
        plan: &plan(quorum),
        reasons,
        may_modify: true,
        now_ms: NOW,
    })
}

fn park(approvals: &Approvals, quorum: u32) -> Arc<Approval> {
    park_call(approvals, &call("one", "bot", r#"{"amount":1}"#), quorum).unwrap().commit()
}

fn decide(approvals: &Approvals, id: Uuid, operator: &str, approve: bool) -> Result<Change, DecideError> {
    let roles = ["approver".to_owned()];
    let by = Voter { operator, roles: &roles, runs: &[] };
    approvals.decide(&Ballot { tenant: "one", id, by, approve, comment: None, now_ms: NOW + 1000 })
}

#[test]
fn a_parked_call_is_seen_once_it_is_committed() {
    let approvals = Approvals::new(Limits::default());
    let call = call("one", "bot", "{}");
    let change = park_call(&approvals, &call, 1).unwrap();
    let id = change.approval().id;
    assert_eq!((change.event(), change.draft().is_none()), (&Event::Parked, true));
    assert!(approvals.get("one", id).is_none() && approvals.list("one", None, None, 9, NOW).is_empty());
    assert_eq!(decide(&approvals, id, "ann", true).unwrap_err(), DecideError::Unknown);
    change.commit();
    assert_eq!(approvals.get("one", id).unwrap().digest, call.digest());
    assert_eq!(approvals.find(call.digest(), Digest::of(b"generation"), &[], NOW).unwrap().id, id);
    assert!(approvals.find(call.digest(), Digest::of(b"other"), &[], NOW).is_none());
    assert_eq!(approvals.pending(), 1);
}

#[test]
fn the_same_call_parked_twice_at_once_runs_by_either_approval() {
    for approved in 0..2 {
        let approvals = Approvals::new(Limits::default());
        let call = call("one", "bot", "{}");
        let both = [park_call(&approvals, &call, 1).unwrap(), park_call(&approvals, &call, 1).unwrap()];
        let ids = both.map(|change| change.commit().id);
        decide(&approvals, ids[approved], "ann", true).unwrap().commit();
        let find = || approvals.find(call.digest(), Digest::of(b"generation"), &[], NOW + 2000).map(|found| found.id);
        assert_eq!(find(), Some(ids[approved]));
        approvals.release("one", ids[approved], CALL, NOW + 2000).unwrap().commit();
        assert_eq!(find(), Some(ids[1 - approved]), "the other one still waits");
        decide(&approvals, ids[1 - approved], "ann", false).unwrap().commit();
        assert_eq!(find(), None);
        assert!(approvals.index().live.is_empty());
    }
}

#[test]
fn an_approval_is_found_only_for_reasons_that_it_was_parked_for() {
    let approvals = Approvals::new(Limits::default());
    let call = call("one", "bot", "{}");
    // More than are kept with their words.
    let many: Vec<Reason> = (0..40).map(|n| reason(&format!("code{}", n % 20))).collect();
    let change = park_for(&approvals, &call, 1, &many).unwrap();
    let records: Vec<_> =
        change.records().iter().map(|record| (record.key.clone(), record.value.clone().unwrap())).collect();
    let id = change.commit().id;
    let (loaded, errors) = Approvals::load(Limits::default(), records);
    assert!(errors.is_empty(), "{errors:?}");
    for approvals in [&approvals, &loaded] {
        let find = |reasons: &[Reason]| approvals.find(call.digest(), Digest::of(b"generation"), reasons, NOW);
        assert_eq!(find(&many).map(|found| found.id), Some(id));
        let other_words = Reason { message: "moves more money".into(), ..reason("code19") };
        assert!(find(&[reason("code3"), other_words]).is_some());
        assert!(find(&[reason("code3"), reason("code20")]).is_none());
        assert!(find(&[Reason { plugin: "another".into(), ..reason("code3") }]).is_none());
    }
    // The same call, parked for more, waits beside it; whichever was approved counts for what it was parked for.
    let more = [reason("code1"), reason("pin.changed")];
    let second = park_for(&approvals, &call, 1, &more).unwrap().commit().id;
    decide(&approvals, id, "ann", true).unwrap().commit();
    let find = |reasons: &[Reason]| {
        approvals.find(call.digest(), Digest::of(b"generation"), reasons, NOW + 2000).map(|found| found.id)
    };
    assert_eq!((find(&more), find(&[reason("code1")])), (Some(second), Some(id)));
}

#[test]
fn another_tenant_sees_nothing() {
    let approvals = Approvals::new(Limits::default());
    let id = park(&approvals, 1).id;
    assert!(approvals.get("two", id).is_none());
    assert!(approvals.list("two", None, None, 9, NOW).is_empty());
    assert!(approvals.cancel("two", id, NOW).is_none());
    assert_eq!(approvals.release("two", id, CALL, NOW).unwrap_err(), ReleaseError::Unknown);
    let roles = ["approver".to_owned()];
    let ballot = Ballot {
        tenant: "two",
        id,
        by: Voter { operator: "eve", roles: &roles, runs: &[] },
        approve: true,
        comment: None,
        now_ms: NOW,
    };
    assert_eq!(approvals.decide(&ballot).unwrap_err(), DecideError::Unknown);
}

#[test]
fn a_dropped_change_never_happened() {
    let limits = Limits { pending_per_tenant: 1, ..Limits::default() };
    let approvals = Approvals::new(limits);
    let one = call("one", "bot", "1");
    let first = park_call(&approvals, &one, 1).unwrap();
    assert_eq!(park_call(&approvals, &one, 1).unwrap_err(), ParkError::TenantFull);
    drop(first);
    let id = park(&approvals, 1).id;
    drop(decide(&approvals, id, "ann", true).unwrap());
    assert_eq!(approvals.get("one", id).unwrap().state, State::Pending);
    assert_eq!(decide(&approvals, id, "ann", false).unwrap().commit().state, State::Denied);
    park(&approvals, 1);
}

#[test]
fn while_a_change_is_recorded_there_is_no_other() {
    let approvals = Approvals::new(Limits::default());
    let id = park(&approvals, 1).id;
    let change = decide(&approvals, id, "ann", true).unwrap();
    assert_eq!(approvals.get("one", id).unwrap().state, State::Pending);
    assert_eq!(decide(&approvals, id, "ben", false).unwrap_err(), DecideError::Busy);
    assert!(approvals.cancel("one", id, NOW).is_none());
    assert!(approvals.overdue(NOW + 900_000, 9).is_empty());
    assert_eq!(change.commit().state, State::Approved);
    assert_eq!(decide(&approvals, id, "ben", false).unwrap_err(), DecideError::Ended(State::Approved));
    let release = approvals.release("one", id, CALL, NOW + 2000).unwrap();
    assert_eq!(approvals.release("one", id, CALL, NOW + 2000).unwrap_err(), ReleaseError::Busy);
    release.commit();
    assert_eq!(approvals.release("one", id, CALL, NOW + 2000).unwrap_err(), ReleaseError::Used);
}

#[test]
fn places_are_bounded_per_tenant_and_agent() {
    let approvals = Approvals::new(Limits { pending_per_tenant: 3, pending_per_agent: 2, ..Limits::default() });
    let agent = |name: &str| park_call(&approvals, &call("one", name, "{}"), 1).map(Change::commit);
    let first = agent("a").unwrap();
    agent("a").unwrap();
    assert_eq!(agent("a").unwrap_err(), ParkError::AgentFull);
    agent("b").unwrap();
    assert_eq!(agent("c").unwrap_err(), ParkError::TenantFull);
    park_call(&approvals, &call("two", "a", "{}"), 1).unwrap().commit();
    approvals.cancel("one", first.id, NOW).unwrap().commit();
    agent("a").unwrap();
    assert_eq!(approvals.pending(), 4);
}

#[test]
fn the_oldest_finished_make_room_and_their_records_go() {
    let approvals = Approvals::new(Limits { kept_per_tenant: 3, ..Limits::default() });
    let pending = park(&approvals, 1);
    let old = park(&approvals, 1);
    decide(&approvals, old.id, "ann", false).unwrap().commit();
    let approved = park(&approvals, 1);
    decide(&approvals, approved.id, "ann", true).unwrap().commit();
    let change = park_call(&approvals, &call("one", "bot", "2"), 1).unwrap();
    assert_eq!(change.records().len(), 2);
    assert_eq!(change.records()[1], Record { key: key("one", old.id), value: None });
    change.commit();
    assert!(approvals.get("one", old.id).is_none());
    assert!(approvals.get("one", pending.id).is_some() && approvals.get("one", approved.id).is_some());
    // Nothing that still counts is removed.
    assert_eq!(park_call(&approvals, &call("one", "bot", "3"), 1).unwrap_err(), ParkError::TenantFull);
}

#[test]
fn approvals_come_back_from_their_records() {
    let approvals = Approvals::new(Limits::default());
    let mut store = std::collections::BTreeMap::new();
    let mut keep = |change: Change| {
        for record in change.records() {
            match &record.value {
                Some(value) => store.insert(record.key.clone(), value.clone()),
                None => store.remove(&record.key),
            };
        }
        change.commit()
    };
    let one = call("one", "bot", r#"{"secret":"hunter2"}"#);
    let pending = keep(park_call(&approvals, &one, 2).unwrap());
    let pending = keep(decide(&approvals, pending.id, "ann", true).unwrap());
    let approved = keep(park_call(&approvals, &call("one", "bot", "2"), 1).unwrap());
    let approved = keep(decide(&approvals, approved.id, "ann", true).unwrap());
    assert!(store.keys().all(|key| key.starts_with(RECORDS)));
    assert!(!store.values().any(|value| String::from_utf8_lossy(value).contains("hunter2")));

    let (loaded, errors) = Approvals::load(Limits::default(), store.clone());
    assert!(errors.is_empty());
    assert_eq!(loaded.get("one", pending.id), Some(Arc::clone(&pending)));
    assert_eq!(loaded.find(one.digest(), Digest::of(b"generation"), &[], NOW).unwrap().id, pending.id);
    assert_eq!(decide(&loaded, pending.id, "ann", true).unwrap_err(), DecideError::Voted);
    assert_eq!(decide(&loaded, pending.id, "ben", true).unwrap().commit().state, State::Approved);
    assert!(loaded.release("one", approved.id, CALL, NOW + 1500).is_ok());
    assert_eq!(loaded.pending(), 0);

    // A record that was moved, cut or written by a newer build is told and never released.
    let (first, second) = (key("one", pending.id), key("one", approved.id));
    let cut = store[&first][..40].to_vec();
    let swapped = store[&second].clone();
    let mut newer = store[&first].clone();
    newer[0] = 2;
    for (bad, told) in [(cut, "EOF"), (swapped, "another approval"), (newer, "version 2"), (vec![], "empty")] {
        let (loaded, errors) = Approvals::load(Limits::default(), [(first.clone(), bad)]);
        assert!(errors[0].to_string().contains(told), "{}", errors[0]);
        assert!(loaded.get("one", pending.id).is_none());
    }
}

#[test]
fn overdue_ones_are_ended_oldest_first() {
    let approvals = Approvals::new(Limits::default());
    let ids: Vec<Uuid> = (0..3).map(|_| park(&approvals, 1).id).collect();
    decide(&approvals, ids[1], "ann", true).unwrap().commit();
    assert!(approvals.overdue(NOW + 899_999, 9).is_empty());
    assert_eq!(approvals.overdue(NOW + 900_000, 1).len(), 1);
    let changes = approvals.overdue(NOW + 900_000, 9);
    assert_eq!(changes.len(), 2);
    for change in changes {
        let draft = change.draft().unwrap();
        assert_eq!((draft.decision, &*draft.agent), (Some(Decision::Deny), "portcullis"));
        assert_eq!(draft.reasons[0].code, codes::APPROVAL_EXPIRED);
        change.commit();
    }
    assert!(approvals.overdue(NOW + 900_000, 9).is_empty());
    assert_eq!(approvals.get("one", ids[1]).unwrap().state, State::Approved);
    assert_eq!(approvals.pending(), 0);
}

#[test]
fn an_entry_names_who_decided_and_how_far_it_got() {
    let approvals = Approvals::new(Limits::default());
    let id = park(&approvals, 2).id;
    let first = decide(&approvals, id, "ann", true).unwrap();
    let draft = first.draft().unwrap();
    assert_eq!((draft.kind, &*draft.agent, draft.decision), (EntryKind::Approval, "ann", None));
    assert_eq!(draft.note.as_deref(), Some("approved; 1 of 2 approvals"));
    assert_eq!((draft.approval, draft.id), (Some(id), Uuid::from_u128(7)));
    first.commit();
    let second = decide(&approvals, id, "ben", true).unwrap().draft().unwrap();
    assert_eq!((&*second.agent, second.decision), ("ben", Some(Decision::Allow)));
    let denied = decide(&approvals, id, "ben", false).unwrap().draft().unwrap();
    assert_eq!((denied.decision, denied.reasons[0].code.as_str()), (Some(Decision::Deny), codes::APPROVAL_DENIED));
}

#[test]
fn lists_are_newest_first_in_pages() {
    let approvals = Approvals::new(Limits::default());
    let ids: Vec<Uuid> = (0..4)
        .map(|step| {
            let call = call("one", "bot", "{}");
            let (digest, generation) = (call.digest(), Digest::default());
            let request = ParkRequest {
                call: &call,
                digest,
                generation,
                plan: &plan(1),
                reasons: &[],
                may_modify: true,
                now_ms: NOW + step,
            };
            approvals.park(&request).unwrap().commit().id
        })
        .collect();
    decide(&approvals, ids[2], "ann", false).unwrap().commit();
    let list = |state, before, limit| -> Vec<Uuid> {
        approvals.list("one", state, before, limit, NOW + 5000).iter().map(|approval| approval.id).collect()
    };
    assert_eq!(list(None, None, 9), [ids[3], ids[2], ids[1], ids[0]]);
    assert_eq!(list(None, Some(ids[2]), 1), [ids[1]]);
    assert_eq!(list(Some(State::Pending), None, 2), [ids[3], ids[1]]);
    assert_eq!(list(Some(State::Denied), None, 2), [ids[2]]);
    assert_eq!(approvals.list("one", Some(State::Expired), None, 9, NOW + 900_000).len(), 1);
}

#[test]
fn the_agent_is_told_what_the_contract_says() {
    let approvals = Approvals::new(Limits::default());
    let approval = park(&approvals, 2);
    let id = approval.id;
    let notice = serde_json::to_value(approval.notice(NOW)).unwrap();
    let expected = serde_json::json!({
        "id": id, "state": "pending", "deadline": "2027-01-15T08:15:00.000Z", "poll": format!("/v1/approvals/{id}"),
        "required": 2, "reasons": [{"code": "payment", "message": "moves money", "plugin": "rule"}],
    });
    assert_eq!(notice, expected);
    assert_eq!(serde_json::to_value(approval.notice(NOW + 900_000)).unwrap()["state"], "expired");
    let voted = decide(&approvals, id, "ann", true).unwrap().commit();
    let view = serde_json::to_value(voted.view(NOW)).unwrap();
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&view[key], value);
    }
    assert_eq!(view["votes"][0]["decision"], "approve");
    assert_eq!(view["votes"][0]["time"], "2027-01-15T08:00:01.000Z");
    assert_eq!((&view["approved"], &view["summary"]), (&1.into(), &"a payment".into()));
}

#[test]
fn of_many_decisions_at_once_exactly_one_ends_it() {
    for round in 0..50 {
        let approvals = Approvals::new(Limits::default());
        let id = park(&approvals, 1).id;
        let (ends, releases) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for thread in 0..6_u64 {
                let (approvals, ends, releases) = (&approvals, &ends, &releases);
                scope.spawn(move || {
                    for step in 0..20_u64 {
                        let change = match (thread + step + round) % 4 {
                            0 => decide(approvals, id, "ann", true).ok(),
                            1 => decide(approvals, id, "ben", false).ok(),
                            2 => approvals.cancel("one", id, NOW),
                            _ => approvals.overdue(NOW + 900_000, 9).pop(),
                        };
                        if let Some(change) = change {
                            std::thread::yield_now();
                            ends.fetch_add(1, Ordering::Relaxed);
                            change.commit();
                        }
                        if let Ok(change) = approvals.release("one", id, CALL, NOW + 2000) {
                            releases.fetch_add(1, Ordering::Relaxed);
                            change.commit();
                        }
                    }
                });
            }
        });
        assert_eq!(ends.load(Ordering::Relaxed), 1);
        let approved = approvals.get("one", id).unwrap().state == State::Approved;
        assert_eq!(releases.load(Ordering::Relaxed), u32::from(approved));
        assert_eq!(approvals.pending(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_decision_the_time_or_the_deadline() {
    let approvals = Approvals::new(Limits::default());
    let id = park(&approvals, 1).id;
    let wait = |seconds| {
        let approvals = approvals.clone();
        tokio::spawn(async move { approvals.wait("one", id, Duration::from_secs(seconds), NOW).await })
    };
    assert!(approvals.wait("two", id, Duration::from_secs(1), NOW).await.is_none());
    let start = tokio::time::Instant::now();
    assert_eq!(wait(5).await.unwrap().unwrap().state, State::Pending);
    assert_eq!(start.elapsed().as_secs(), 5);
    let waiting = wait(600);
    tokio::time::sleep(Duration::from_secs(7)).await;
    decide(&approvals, id, "ann", true).unwrap().commit();
    assert_eq!(waiting.await.unwrap().unwrap().state, State::Approved);
    assert_eq!(start.elapsed().as_secs(), 12);
    assert_eq!(wait(600).await.unwrap().unwrap().state, State::Approved);

    let late = park(&approvals, 1).id;
    let start = tokio::time::Instant::now();
    let seen = approvals.wait("one", late, Duration::from_secs(10_000), NOW).await.unwrap();
    assert_eq!((start.elapsed().as_secs(), seen.state_at(NOW + 900_000)), (900, State::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_no_deadline_later() {
    let approvals = Approvals::new(Limits::default());
    let id = park(&approvals, 1).id;
    tokio::time::advance(Duration::from_millis(899_999)).await;
    assert!(approvals.overdue(NOW - 3_600_000, 9).is_empty());
    tokio::time::advance(Duration::from_millis(1)).await;
    // The system clock says that it was parked in an hour.
    let mut changes = approvals.overdue(NOW - 3_600_000, 9);
    assert_eq!((changes.len(), changes.pop().unwrap().commit().state), (1, State::Expired));
    assert!(approvals.overdue(NOW + 900_000, 9).is_empty(), "and that once");
    assert_eq!(decide(&approvals, id, "ann", true).unwrap_err(), DecideError::Ended(State::Expired));
}

#[test]
fn a_clock_that_is_set_forward_refuses_and_loses_nothing() {
    let approvals = Approvals::new(Limits::default());
    let id = park(&approvals, 1).id;
    for change in approvals.overdue(NOW + 86_400_000, 9) {
        change.commit();
    }
    assert_eq!(approvals.get("one", id).unwrap().state, State::Expired);
    let next = park(&approvals, 1).id;
    assert_eq!(decide(&approvals, next, "ann", true).unwrap().commit().state, State::Approved);
}

#[test]
fn what_somebody_changes_right_now_makes_no_room() {
    let limits = Limits { kept_per_tenant: 2, ..Limits::default() };
    let approvals = Approvals::new(limits);
    let parked: Vec<_> =
        (0..2).map(|n| park_call(&approvals, &call("one", "bot", &n.to_string()), 1).unwrap().commit().id).collect();
    for id in &parked {
        decide(&approvals, *id, "ann", false).unwrap().commit();
    }
    let comment = |id| {
        let comment = Comment { operator: "ann".into(), text: "why?".into(), time_ms: NOW + 2000 };
        approvals.comment("one", id, comment)
    };
    let change = comment(parked[0]).unwrap();
    let next = park_call(&approvals, &call("one", "bot", "2"), 1).unwrap();
    // The other one makes room; nothing happens to it from here on.
    assert_eq!(comment(parked[1]).unwrap_err(), DecideError::Busy);
    next.commit();
    change.commit();
    assert!(approvals.get("one", parked[0]).is_some() && approvals.get("one", parked[1]).is_none());
    assert_eq!(comment(parked[1]).unwrap_err(), DecideError::Unknown);
}

#[test]
fn a_call_is_found_by_its_own_id_and_that_of_its_approval() {
    let approvals = Approvals::new(Limits::default());
    let one = park(&approvals, 1);
    let named = |tenant: &str, id: Uuid| approvals.named(tenant, id).iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!((named("one", one.id), named("one", one.call)), (vec![one.id], vec![one.id]));
    assert!(named("two", one.id).is_empty() && named("two", one.call).is_empty());
}
