use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_model::{Approver, Call, Digest, Document, Phase, Plan, Step};

use super::*;
use crate::{Approvals, Ballot, Change, Limits, ParkRequest, RECORDS, Voter};

const NOW: u64 = 1_800_000_000_000;

/// What a disk would hold.
#[derive(Default)]
struct Disk(std::collections::BTreeMap<Vec<u8>, Vec<u8>>);

impl Disk {
    fn write(&mut self, records: &[Record]) {
        for record in records {
            match &record.value {
                Some(value) => drop(self.0.insert(record.key.clone(), value.clone())),
                None => drop(self.0.remove(&record.key)),
            }
        }
    }

    fn load(&self) -> Approvals {
        let (approvals, errors) = Approvals::load(Limits::default(), self.0.clone());
        assert!(errors.is_empty(), "{errors:?}");
        approvals
    }

    fn messages(&self) -> usize {
        self.0.keys().filter(|key| key.starts_with(OUTBOX_RECORDS)).count()
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// A new call each time.
fn park(approvals: &Approvals, channels: &[&str], steps: &[(u32, &[&str])]) -> Change {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let arguments = CALLS.fetch_add(1, Ordering::Relaxed).to_string();
    let call = Call {
        id: Uuid::from_u128(7),
        phase: Phase::Call,
        tenant: "acme".into(),
        agent: format!("bot{arguments}").into(),
        session: None,
        persona: None,
        task: None,
        upstream: None,
        tool: "pay".into(),
        payload: Arc::new(Document::parse(arguments).unwrap()),
        time_ms: NOW,
        attached: None,
    };
    let step = |(after_seconds, channels): &(u32, &[&str])| Step {
        after_seconds: *after_seconds,
        approvers: vec![Approver::Role("lead".into())],
        channels: words(channels),
    };
    let plan = Plan {
        approvers: vec![Approver::Role("approver".into())],
        quorum: 1,
        deadline_seconds: 900,
        channels: words(channels),
        escalation: steps.iter().map(step).collect(),
        summary: "a payment".into(),
        may_modify: false,
    };
    let (digest, generation) = (call.digest(), Digest::of(b"generation"));
    let (call, plan, reasons) = (&call, &plan, [].as_slice());
    approvals.park(&ParkRequest { call, digest, generation, plan, reasons, may_modify: false, now_ms: NOW }).unwrap()
}

fn approve(approvals: &Approvals, id: Uuid, now_ms: u64) -> Change {
    let roles = ["approver".to_owned()];
    let by = Voter { operator: "ann", roles: &roles, runs: &[] };
    approvals.decide(&Ballot { tenant: "acme", id, by, approve: true, comment: None, now_ms }).unwrap()
}

/// Kinds and channels of what is due.
fn due(approvals: &Approvals, now_ms: u64) -> Vec<(MessageKind, String)> {
    let (messages, _) = approvals.outbox().take(now_ms, 100);
    let mut found: Vec<_> = messages.iter().map(|message| (message.kind, message.channel.to_string())).collect();
    found.sort_by_key(|(kind, channel)| (kind.as_str(), channel.clone()));
    found
}

fn named(kind: MessageKind, channels: &[&str]) -> Vec<(MessageKind, String)> {
    channels.iter().map(|channel| (kind, (*channel).to_owned())).collect()
}

#[test]
fn a_parked_call_is_told_over_every_channel_of_its_plan_once_it_is_durable() {
    let approvals = Approvals::new(Limits::default());
    let change = park(&approvals, &["ops", "mail", "ops"], &[]);
    let stored = change.records().iter().filter(|record| record.key.starts_with(OUTBOX_RECORDS)).count();
    assert_eq!(stored, 2, "in the same batch as the approval");
    assert!(due(&approvals, NOW).is_empty(), "nobody is told of what a power cut would undo");
    assert_eq!(approvals.outbox().counts("acme").waiting, 2);
    change.commit();
    assert_eq!(due(&approvals, NOW), named(MessageKind::Parked, &["mail", "ops"]));
    assert!(due(&approvals, NOW).is_empty(), "what is being sent is not sent twice");
}

#[test]
fn a_change_that_is_not_made_tells_nobody_and_takes_no_room() {
    let approvals = Approvals::new(Limits::default());
    drop(park(&approvals, &["ops"], &[]));
    assert_eq!(approvals.outbox().counts("acme"), OutboxCounts::default());
    assert!(due(&approvals, NOW + 1).is_empty());
}

#[test]
fn the_end_is_told_to_whom_the_beginning_was() {
    let approvals = Approvals::new(Limits::default());
    let parked = park(&approvals, &["ops"], &[(60, &["boss"]), (120, &["board"])]).commit();
    due(&approvals, NOW);
    let step = approvals.escalations(NOW + 60_000, 9).pop().unwrap();
    step.commit();
    assert_eq!(due(&approvals, NOW + 60_000), named(MessageKind::Escalated, &["boss"]));
    approve(&approvals, parked.id, NOW + 61_000).commit();
    assert_eq!(due(&approvals, NOW + 61_000), named(MessageKind::Decided, &["boss", "ops"]), "not the board");
    assert!(approvals.escalations(NOW + 600_000, 9).is_empty());
    // Its release is no news.
    approvals.release("acme", parked.id, Uuid::from_u128(9), NOW + 62_000).unwrap().commit();
    assert!(due(&approvals, NOW + 62_000).is_empty());
}

#[test]
fn an_expiry_is_told() {
    let approvals = Approvals::new(Limits::default());
    park(&approvals, &["ops"], &[]).commit();
    due(&approvals, NOW);
    approvals.overdue(NOW + 900_000, 9).pop().unwrap().commit();
    assert_eq!(due(&approvals, NOW + 900_000), named(MessageKind::Decided, &["ops"]));
}

#[test]
fn a_step_is_told_once_also_across_a_restart() {
    let (approvals, mut disk) = (Approvals::new(Limits::default()), Disk::default());
    let change = park(&approvals, &[], &[(60, &["boss"]), (0, &["team"]), (120, &["board"]), (30, &[])]);
    disk.write(change.records());
    change.commit();
    let escalate = |approvals: &Approvals, disk: &mut Disk, now_ms: u64| {
        let changes = approvals.escalations(now_ms, 9);
        for change in changes {
            disk.write(change.records());
            assert!(change.draft().is_some_and(|draft| draft.decision.is_none()), "an entry that decides nothing");
            change.commit();
        }
        due(approvals, now_ms)
    };
    assert_eq!(escalate(&approvals, &mut disk, NOW), named(MessageKind::Escalated, &["team"]));
    assert!(escalate(&approvals, &mut disk, NOW + 59_999).is_empty());
    // Down while the next one came due.
    let approvals = disk.load();
    assert_eq!(due(&approvals, 0), named(MessageKind::Escalated, &["team"]), "at least once: nobody said it was taken");
    assert_eq!(escalate(&approvals, &mut disk, NOW + 90_000), named(MessageKind::Escalated, &["boss"]));
    assert_eq!(escalate(&approvals, &mut disk, NOW + 130_000), named(MessageKind::Escalated, &["board"]));
    let approvals = disk.load();
    assert!(approvals.escalations(NOW + 200_000, 9).is_empty());
}

#[test]
fn what_was_not_delivered_is_due_after_a_restart_and_what_was_is_gone() {
    let (approvals, mut disk) = (Approvals::new(Limits::default()), Disk::default());
    for _ in 0..3 {
        let change = park(&approvals, &["ops"], &[]);
        disk.write(change.records());
        change.commit();
    }
    let outbox = approvals.outbox();
    let (taken, _) = outbox.take(NOW, 9);
    disk.write(&outbox.delivered(taken[0].id));
    disk.write(&outbox.failed(taken[1].id, "no answer", Some(NOW + 99_000)));
    // The third was being sent.
    assert_eq!(disk.messages(), 2);
    let again = disk.load();
    let (again, next) = again.outbox().take(0, 9);
    assert_eq!((again.len(), next), (2, None));
    let failed = again.iter().find(|message| message.id == taken[1].id).unwrap();
    assert_eq!((failed.attempts, failed.problem.as_deref()), (1, Some("no answer")));
    assert!(again.iter().any(|message| message.id == taken[2].id));
}

#[test]
fn a_dead_message_stays_visible_until_an_operator_wants_it_sent() {
    let (approvals, mut disk) = (Approvals::new(Limits::default()), Disk::default());
    let change = park(&approvals, &["ops"], &[]);
    disk.write(change.records());
    change.commit();
    let id = approvals.outbox().take(NOW, 9).0[0].id;
    disk.write(&approvals.outbox().failed(id, "no such channel", None));
    let approvals = disk.load();
    let outbox = approvals.outbox();
    assert!(outbox.take(NOW + 1_000_000_000, 9).0.is_empty());
    assert_eq!(outbox.counts("acme"), OutboxCounts { waiting: 0, dead: 1, lost: 0 });
    let dead = outbox.list("acme", Some(MessageState::Dead), None, 9);
    assert_eq!((dead[0].id, dead[0].problem.as_deref()), (id, Some("no such channel")));
    assert!(outbox.list("acme", Some(MessageState::Waiting), None, 9).is_empty());
    assert!(outbox.retry("other", id, NOW).is_none() && outbox.get("other", id).is_none(), "foreign is unknown");
    let (again, records) = outbox.retry("acme", id, NOW + 5).unwrap();
    disk.write(&records);
    assert_eq!((again.state, again.attempts), (MessageState::Waiting, 0));
    assert_eq!(outbox.take(NOW + 5, 9).0.len(), 1);
    assert_eq!(outbox.retry("acme", id, NOW + 6).unwrap().1, [], "it is being sent");
    assert_eq!(disk.load().outbox().take(0, 9).0.len(), 1);
}

#[test]
fn a_hanging_channel_holds_up_no_other() {
    let approvals = Approvals::new(Limits::default());
    for _ in 0..10 {
        park(&approvals, &["slow", "quick"], &[]).commit();
    }
    let outbox = approvals.outbox();
    let mut quick = 0;
    // Nothing of the slow one ever ends.
    loop {
        let (messages, _) = outbox.take(NOW, 2);
        let ours: Vec<_> = messages.iter().filter(|message| &*message.channel == "quick").collect();
        if ours.is_empty() {
            break;
        }
        quick += ours.len();
        ours.iter().for_each(|message| drop(outbox.delivered(message.id)));
    }
    assert_eq!(quick, 10);
    assert_eq!(outbox.counts("acme").waiting, 10);
}

#[test]
fn a_receiver_that_fails_for_an_hour_gets_its_message_after_few_tries() {
    let backoff = Backoff::default();
    for jitter in [0.0, 0.5, 1.0] {
        let (mut now_ms, mut attempts) = (0, 0);
        while now_ms < 3_600_000 {
            attempts += 1;
            now_ms += backoff.pause_ms(attempts, jitter).expect("it is not given up within an hour");
        }
        assert!((10..backoff.attempts).contains(&attempts), "{attempts} tries");
    }
    assert_eq!(backoff.pause_ms(backoff.attempts, 0.5), None);
    assert_eq!(backoff.pause_ms(1, 0.0), Some(500));
    assert_eq!(backoff.pause_ms(1, 1.0), Some(1000));
    assert_eq!(backoff.pause_ms(20, 1.0), Some(300_000));
    for (attempts, jitter) in [(0, f64::NAN), (1, -5.0), (31, f64::INFINITY)] {
        assert!(backoff.pause_ms(attempts, jitter).is_some_and(|pause| (1..=300_000).contains(&pause)));
    }
}

#[test]
fn the_outbox_of_a_tenant_is_bounded_and_counts_what_it_gave_up() {
    let outbox = Outbox::new(OutboxLimits { waiting_per_tenant: 2, dead_per_tenant: 1 });
    let approvals = Approvals::new(Limits::default());
    let approval = park(&approvals, &[], &[]).commit();
    let post = |channels: &[&str]| {
        outbox.post(&approval, MessageKind::Parked, channels.iter().copied(), NOW).unwrap().commit();
    };
    post(&["a", "b", "c"]);
    post(&["d"]);
    assert_eq!(outbox.counts("acme"), OutboxCounts { waiting: 2, dead: 0, lost: 2 });
    let (taken, _) = outbox.take(NOW, 9);
    let mut records: Vec<_> = taken.iter().map(|message| outbox.failed(message.id, "x", None)).collect();
    assert_eq!(outbox.counts("acme"), OutboxCounts { waiting: 0, dead: 1, lost: 3 });
    let removed = records.pop().unwrap();
    assert!(removed.len() == 2 && removed[1].value.is_none(), "the record of the oldest goes, too");
    assert_eq!(outbox.lost(), 3);
}

#[test]
fn damaged_records_are_named_and_the_rest_is_there() {
    let (approvals, mut disk) = (Approvals::new(Limits::default()), Disk::default());
    let change = park(&approvals, &["ops"], &[]);
    disk.write(change.records());
    disk.0.insert(b"outbox/acme/x".to_vec(), b"\x01{}".to_vec());
    disk.0.insert(b"outbox/acme/y".to_vec(), b"\x02".to_vec());
    disk.0.insert(b"outbox/acme/z".to_vec(), Vec::new());
    let (again, errors) = Approvals::load(Limits::default(), disk.0.clone());
    assert_eq!(errors.len(), 3);
    assert!(errors[0].to_string().contains("outbox/acme/x"));
    assert_eq!((again.pending(), again.outbox().counts("acme").waiting), (1, 1));
    assert!(disk.0.keys().any(|key| key.starts_with(RECORDS)));
}
