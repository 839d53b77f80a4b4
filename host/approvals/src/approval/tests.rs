use portcullis_model::Step;

use super::*;

const MINUTE: u64 = 60_000;
const CALL: Uuid = Uuid::from_u128(7);

fn plan(approvers: &[Approver], quorum: u32) -> Plan {
    Plan {
        approvers: approvers.to_vec(),
        quorum,
        deadline_seconds: 900,
        channels: vec![],
        escalation: vec![],
        summary: String::new(),
        may_modify: false,
    }
}

fn role(name: &str) -> Approver {
    Approver::Role(name.to_owned())
}

fn approval(plan: Plan) -> Approval {
    Approval {
        id: Uuid::from_u128(1),
        tenant: "one".into(),
        agent: "bot".into(),
        session: None,
        upstream: None,
        tool: "pay".into(),
        phase: Phase::Call,
        call: Uuid::from_u128(2),
        digest: Digest::of(b"call"),
        generation: Digest::of(b"generation"),
        deadline_ms: u64::from(plan.deadline_seconds) * 1000,
        plan,
        reasons: vec![],
        more_reasons: vec![],
        created_ms: 0,
        state: State::Pending,
        votes: vec![],
        ended_ms: None,
        use_by_ms: None,
        released_ms: None,
        released_to: None,
        claim: None,
        comments: vec![],
        modification: None,
        withdrawn: None,
        escalated_ms: None,
    }
}

fn vote(approval: &Approval, operator: &str, approve: bool, time_ms: u64) -> Result<Approval, DecideError> {
    let vote = Vote { operator: operator.into(), approve, comment: None, time_ms, lapsed: false };
    approval.voted(vote, &Voter { operator, roles: &["approver".to_owned()], runs: &[] }, MINUTE)
}

#[test]
fn one_approval_is_enough_for_a_quorum_of_one_and_good_for_one_release() {
    let approved = vote(&approval(plan(&[role("approver")], 1)), "ann", true, 5).unwrap();
    assert_eq!((approved.state, approved.ended_ms, approved.use_by_ms), (State::Approved, Some(5), Some(5 + MINUTE)));
    assert!(approved.is_live(MINUTE) && !approved.is_live(5 + MINUTE));
    assert_eq!(approved.released(CALL, 5 + MINUTE), Err(ReleaseError::TooLate));
    let released = approved.released(CALL, 6).unwrap();
    assert!(!released.is_live(6));
    assert_eq!(released.released(CALL, 7), Err(ReleaseError::Used));
}

#[test]
fn a_quorum_needs_different_people() {
    let first = vote(&approval(plan(&[role("approver")], 2)), "ann", true, 1).unwrap();
    assert_eq!((first.state, first.approvals()), (State::Pending, 1));
    assert_eq!(vote(&first, "ann", true, 2), Err(DecideError::Voted));
    assert_eq!(first.released(CALL, 2), Err(ReleaseError::NotApproved(State::Pending)));
    assert_eq!(vote(&first, "ben", true, 2).unwrap().state, State::Approved);
}

#[test]
fn one_refusal_is_final_even_by_somebody_who_approved() {
    let first = vote(&approval(plan(&[role("approver")], 2)), "ann", true, 1).unwrap();
    for who in ["ann", "ben"] {
        let denied = vote(&first, who, false, 2).unwrap();
        assert_eq!(denied.state, State::Denied);
        assert_eq!(vote(&denied, "cy", true, 3), Err(DecideError::Ended(State::Denied)));
        assert_eq!(denied.released(CALL, 3), Err(ReleaseError::NotApproved(State::Denied)));
        assert_eq!((denied.cancelled(3), denied.expired(900_000, false)), (None, None));
    }
}

#[test]
fn only_those_named_may_decide() {
    let named = approval(plan(&[Approver::Operator("ann".to_owned()), role("security")], 1));
    assert!(vote(&named, "ann", true, 1).is_ok());
    assert_eq!(vote(&named, "ben", true, 1), Err(DecideError::NotEligible));
    assert_eq!(vote(&named, "ben", false, 1), Err(DecideError::NotEligible), "nor veto");
    let ben = Vote { operator: "ben".into(), approve: true, comment: None, time_ms: 1, lapsed: false };
    assert!(
        named
            .voted(
                ben,
                &Voter { operator: "ben", roles: &["viewer".to_owned(), "security".to_owned()], runs: &[] },
                MINUTE
            )
            .is_ok()
    );
    // A role is not a name and a name is not a role.
    assert_eq!(vote(&named, "security", true, 1), Err(DecideError::NotEligible));
}

#[test]
fn nobody_approves_their_own_call() {
    let parked = approval(plan(&[role("approver")], 1));
    for name in ["bot", "BOT"] {
        assert_eq!(vote(&parked, name, true, 1), Err(DecideError::SelfApproval));
    }
    assert_eq!(vote(&parked, "bot", false, 1).unwrap().state, State::Denied);
}

#[test]
fn the_deadline_counts_from_its_very_moment() {
    let parked = approval(plan(&[role("approver")], 1));
    assert_eq!(parked.state_at(899_999), State::Pending);
    assert_eq!(parked.expired(899_999, false), None);
    assert!(vote(&parked, "ann", true, 899_999).is_ok());
    assert_eq!(parked.state_at(900_000), State::Expired);
    assert_eq!(vote(&parked, "ann", true, 900_000), Err(DecideError::Ended(State::Expired)));
    assert_eq!(parked.cancelled(900_000), None);
    assert_eq!(parked.expired(900_000, false).unwrap().state, State::Expired);
    assert!(!parked.is_live(900_000));
    // What was decided in time stays decided.
    assert_eq!(vote(&parked, "ann", true, 1).unwrap().state_at(2_000_000), State::Approved);
}

#[test]
fn escalation_asks_more_people_later() {
    let mut plan = plan(&[Approver::Operator("ann".to_owned())], 1);
    plan.escalation = vec![Step { after_seconds: 60, approvers: vec![role("approver")], channels: vec![] }];
    let parked = approval(plan);
    assert_eq!(vote(&parked, "ben", true, 59_999), Err(DecideError::NotEligible));
    assert_eq!(vote(&parked, "ben", true, 60_000).unwrap().state, State::Approved);
}

#[test]
fn comments_are_bounded() {
    let parked = approval(plan(&[role("approver")], 1));
    let long = |length: usize| Vote {
        operator: "ann".into(),
        approve: true,
        comment: Some("x".repeat(length)),
        time_ms: 1,
        lapsed: false,
    };
    let by = Voter { operator: "ann", roles: &["approver".to_owned()], runs: &[] };
    assert!(parked.voted(long(MAX_COMMENT), &by, MINUTE).is_ok());
    assert_eq!(parked.voted(long(MAX_COMMENT + 1), &by, MINUTE), Err(DecideError::Comment));
}

#[test]
fn plans_that_cannot_be_followed_are_refused_and_others_are_bounded() {
    let good = plan(&[role("approver")], 1);
    assert_eq!(check_plan(&good).as_ref(), Ok(&good));
    assert_eq!(check_plan(&plan(&[], 1)), Err(PlanError::Empty));
    assert_eq!(check_plan(&plan(&[role("a")], 0)), Err(PlanError::Empty));
    assert_eq!(check_plan(&Plan { deadline_seconds: 0, ..good.clone() }), Err(PlanError::Empty));
    assert_eq!(check_plan(&plan(&vec![role("a"); MAX_APPROVERS + 1], 1)), Err(PlanError::Size));
    assert_eq!(check_plan(&plan(&[role(&"a".repeat(MAX_NAME + 1))], 1)), Err(PlanError::Size));
    let step = Step { after_seconds: 1, approvers: vec![], channels: vec![String::new(); MAX_CHANNELS + 1] };
    assert_eq!(check_plan(&Plan { escalation: vec![step], ..good.clone() }), Err(PlanError::Size));
    let kept = check_plan(&Plan { deadline_seconds: u32::MAX, summary: "ä".repeat(2000), ..good }).unwrap();
    assert_eq!(kept.deadline_seconds, MAX_DEADLINE_SECONDS);
    assert!(kept.summary.len() <= MAX_SUMMARY && kept.summary.ends_with('…'));
}

fn by<'a>(operator: &'a str, roles: &'a [String]) -> Voter<'a> {
    Voter { operator, roles, runs: &[] }
}

#[test]
fn a_claim_lapses_by_itself_and_is_renewed_by_its_holder() {
    let roles = ["approver".to_owned()];
    let (ann, ben) = (by("ann", &roles), by("ben", &roles));
    let parked = approval(plan(&[role("approver")], 1));
    let claimed = parked.claimed(&ann, 10).unwrap();
    assert_eq!(claimed.claimed(&ben, 10 + CLAIM_MS - 1), Err(DecideError::Claimed));
    assert_eq!(claimed.unclaimed(&ben, 11), Err(DecideError::Claimed));
    let renewed = claimed.claimed(&ann, 100).unwrap();
    assert_eq!(renewed.claimed(&ben, 10 + CLAIM_MS), Err(DecideError::Claimed));
    assert_eq!(&*renewed.claimed(&ben, 100 + CLAIM_MS).unwrap().claim.unwrap().operator, "ben");
    assert_eq!(renewed.claim_at(100 + CLAIM_MS), None);
    assert_eq!(claimed.unclaimed(&ann, 11).unwrap().claim, None);
    // Whoever claimed and was removed since keeps nobody from deciding.
    assert_eq!(vote(&claimed, "ben", true, 20).unwrap().state, State::Approved);
    // Not after the end.
    assert_eq!(parked.claimed(&ann, 900_000), Err(DecideError::Ended(State::Expired)));
    assert_eq!(parked.claimed(&by("ann", &[]), 10), Err(DecideError::NotEligible));
}

fn modification(operator: &str) -> Modification {
    let digest = Digest::of(b"changed");
    Modification { operator: operator.into(), changes: vec![], digest, entry: 3, comment: None, time_ms: 20 }
}

#[test]
fn who_approved_other_arguments_is_asked_again() {
    let roles = ["approver".to_owned()];
    let mut parked = approval(Plan { may_modify: true, ..plan(&[role("approver")], 2) });
    parked = vote(&parked, "ann", true, 1).unwrap();
    let changed = parked.modified(modification("ben"), &by("ben", &roles)).unwrap();
    assert!(changed.votes.is_empty() && changed.modification.is_some());
    // Ben's change is no vote, and Ann's first one does not count.
    let once = vote(&changed, "ann", true, 30).unwrap();
    assert_eq!(once.state, State::Pending);
    assert_eq!(vote(&once, "ben", true, 31).unwrap().state, State::Approved);
}

#[test]
fn nobody_changes_what_is_fixed_decided_or_their_own() {
    let roles = ["approver".to_owned()];
    let open = approval(Plan { may_modify: true, ..plan(&[role("approver")], 1) });
    let change = |approval: &Approval, by: &Voter<'_>| approval.modified(modification(by.operator), by).map(drop);
    assert_eq!(change(&open, &by("ann", &roles)), Ok(()));
    assert_eq!(change(&open, &by("ann", &[])), Err(DecideError::NotEligible));
    assert_eq!(change(&open, &by("Bot", &roles)), Err(DecideError::SelfApproval));
    let runs = ["bot".to_owned()];
    let owner = Voter { runs: &runs, ..by("ann", &roles) };
    assert_eq!(change(&open, &owner), Err(DecideError::SelfApproval));
    assert_eq!(change(&approval(plan(&[role("approver")], 1)), &by("ann", &roles)), Err(DecideError::Fixed));
    let decided = vote(&open, "ann", true, 1).unwrap();
    assert_eq!(change(&decided, &by("ann", &roles)), Err(DecideError::Ended(State::Approved)));
}

#[test]
fn a_withdrawn_call_is_denied_once_and_says_why() {
    let parked = approval(plan(&[role("approver")], 1));
    let gone = parked.withdrawn("agent_halted", 5).unwrap();
    assert_eq!((gone.state, gone.ended_ms, gone.withdrawn.as_deref()), (State::Denied, Some(5), Some("agent_halted")));
    assert_eq!(gone.withdrawn("agent_removed", 6), None);
    assert_eq!(vote(&gone, "ann", true, 6), Err(DecideError::Ended(State::Denied)));
    assert_eq!(parked.withdrawn("agent_halted", 900_000), None, "it has expired");
}
