"""A router: one approver decides, or two if the amount is large."""

from typing import Sequence

from portcullis import (
    AttributedFinding,
    Call,
    Payload,
    Plan,
    PluginError,
    Reason,
    Role,
    Router,
    Step,
    is_texts,
    is_whole,
    keys,
)


class Desk(Router):
    # Runs once per configuration; what it leaves in `self` is there in every call.
    def configure(self, config: object) -> None:
        config = keys(config, "approvers", "large", "deadline_seconds", "escalate_to")
        approvers = config.get("approvers")
        large = config.get("large", approvers)
        deadline_seconds = config.get("deadline_seconds", 900)
        escalate_to = config.get("escalate_to")
        if not is_texts(approvers, least=1):
            raise PluginError("approvers: give a list of at least one role")
        if not is_texts(large, least=1):
            raise PluginError("large: give a list of at least one role")
        if not is_whole(deadline_seconds, least=1):
            raise PluginError("deadline_seconds: use a whole number of at least 1")
        if "escalate_to" in config and not isinstance(escalate_to, str):
            raise PluginError("escalate_to: give a role")
        self.approvers, self.large = approvers, large
        self.deadline_seconds, self.escalate_to = deadline_seconds, escalate_to

    # Runs once per parked call. Nothing that it changes is seen by the next call.
    def route(
        self, call: Call, payload: Payload, findings: Sequence[AttributedFinding], reasons: Sequence[Reason]
    ) -> Plan:
        codes = [reason.code for reason in reasons]
        large = "large_amount" in codes
        summary = f"{call.agent} wants {call.tool}"
        if codes:
            summary += ": " + ", ".join(codes)
        if findings:
            summary += f" ({len(findings)} findings)"
        escalation = []
        if self.escalate_to is not None:
            escalation.append(Step(max(self.deadline_seconds // 2, 1), [Role(self.escalate_to)]))
        return Plan(
            approvers=[Role(name) for name in (self.large if large else self.approvers)],
            quorum=2 if large else 1,
            deadline_seconds=self.deadline_seconds,
            escalation=escalation,
            summary=summary,
            may_modify=not large,
        )
