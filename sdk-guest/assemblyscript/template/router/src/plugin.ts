// Says who must approve a parked call: two people for large amounts, one for everything else.

import { Approver, AttributedFinding, Call, Json, Payload, Plan, Reason, Step } from "../sdk";

let approvers: string[] = [];
let large: string[] = [];
let deadline: u32 = 0;
let boss: string | null = null;

/** Null, or what to tell whoever configures. */
export function configure(config: Json): string | null {
  const problem = config.check(["approvers", "large", "deadline_seconds", "escalate_to"]);
  if (problem !== null) return problem;
  const usual = config.strings("approvers");
  if (usual === null || usual.length == 0) return "approvers: give a list of at least one role";
  const forLarge = config.strings("large", usual);
  if (forLarge === null || forLarge.length == 0) return "large: give a list of at least one role";
  const seconds = config.number("deadline_seconds", 900);
  if (!(seconds >= 1 && seconds <= u32.MAX_VALUE && Math.floor(seconds) == seconds)) {
    return "deadline_seconds: use a whole number of at least 1";
  }
  boss = config.string("escalate_to");
  if (boss === null && config.get("escalate_to") !== null) return "escalate_to: give a role";
  approvers = usual;
  large = forLarge;
  deadline = u32(seconds);
  return null;
}

export function route(call: Call, payload: Payload, findings: AttributedFinding[], reasons: Reason[]): Plan {
  const codes = reasons.map<string>((reason) => reason.code);
  const isLarge = codes.includes("large_amount");
  const why = codes.length > 0 ? ": " + codes.join(", ") : "";
  const seen = findings.length > 0 ? ` (${findings.length} findings)` : "";
  const asked = isLarge ? large : approvers;
  const plan = new Plan(
    asked.map<Approver>((role) => Approver.role(role)),
    deadline,
    `${call.agent} wants ${call.tool}${why}${seen}`,
  );
  plan.quorum = isLarge ? 2 : 1;
  plan.mayModify = !isLarge;
  if (boss !== null) plan.escalation.push(new Step(max(deadline / 2, 1), [Approver.role(boss!)]));
  return plan;
}
