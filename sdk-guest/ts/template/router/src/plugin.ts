// Says who must approve a parked call: two people for large amounts, one for everything else.

import { isStrings, members, role, router } from "portcullis";

export default router({
  configure(config) {
    const given = members(config, "approvers", "large", "deadline_seconds", "escalate_to");
    const { approvers, large = approvers, deadline_seconds: deadline = 900, escalate_to: boss } = given;
    if (!isStrings(approvers) || approvers.length === 0) throw new Error("approvers: give a list of at least one role");
    if (!isStrings(large) || large.length === 0) throw new Error("large: give a list of at least one role");
    if (typeof deadline !== "number" || !Number.isInteger(deadline) || deadline < 1 || deadline > 0xffffffff) {
      throw new Error("deadline_seconds: use a whole number of at least 1");
    }
    if (boss !== undefined && typeof boss !== "string") throw new Error("escalate_to: give a role");
    return { approvers, large, deadline, boss };
  },

  route(call, payload, findings, reasons, { approvers, large, deadline, boss }) {
    const isLarge = reasons.some((reason) => reason.code === "large_amount");
    const why = reasons.length > 0 ? `: ${reasons.map((reason) => reason.code).join(", ")}` : "";
    const seen = findings.length > 0 ? ` (${findings.length} findings)` : "";
    const later = { afterSeconds: Math.max(1, Math.floor(deadline / 2)) };
    return {
      approvers: (isLarge ? large : approvers).map(role),
      quorum: isLarge ? 2 : 1,
      deadlineSeconds: deadline,
      escalation: boss === undefined ? [] : [{ ...later, approvers: [role(boss)] }],
      summary: `${call.agent} wants ${call.tool}${why}${seen}`,
      mayModify: !isLarge,
    };
  },
});
