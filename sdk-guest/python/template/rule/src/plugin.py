"""A rule: denies and redacts what the detectors saw, and sends large amounts to a person."""

from typing import Sequence

from portcullis import (
    AttributedFinding,
    Call,
    Payload,
    PluginError,
    Replacement,
    Rule,
    Verdict,
    allow,
    deny,
    is_number,
    is_texts,
    keys,
    redact,
    review,
)


class Limit(Rule):
    # Runs once per configuration; what it leaves in `self` is there in every call.
    def configure(self, config: object) -> None:
        config = keys(config, "review_over", "amount", "deny", "redact")
        review_over, amount = config.get("review_over"), config.get("amount", "/amount")
        denied, redacted = config.get("deny", []), config.get("redact", [])
        if not is_number(review_over, least=0):
            raise PluginError("review_over: give a number of at least 0")
        if not isinstance(amount, str) or not (amount == "" or amount.startswith("/")):
            raise PluginError("amount: use a JSON pointer, for instance /amount")
        if not is_texts(denied):
            raise PluginError("deny: give a list of categories")
        if not is_texts(redacted):
            raise PluginError("redact: give a list of categories")
        self.review_over, self.amount, self.denied, self.redacted = review_over, amount, denied, redacted

    # Runs once per call. Nothing that it changes is seen by the next call.
    def decide(self, call: Call, payload: Payload, findings: Sequence[AttributedFinding]) -> Verdict:
        believed = [one for one in findings if one.finding.score >= 0.5]
        for one in believed:
            if one.finding.category in self.denied:
                return deny("forbidden", f"{one.plugin} saw {one.finding.category}")

        # The amount's JSON text, exactly as the agent wrote it.
        amount = payload.get(self.amount)
        if amount is not None:
            if amount[0] not in "-0123456789":
                return review("odd_amount", "the amount is not a number")
            if len(amount) > 400:
                raise PluginError(f"amount: a number of {len(amount)} characters cannot be judged")
            if float(amount) > self.review_over:
                return review("large_amount", f"the amount {amount} is large")

        spans = [span for one in believed if one.finding.category in self.redacted for span in one.finding.spans]
        if spans:
            replacements = [Replacement(span, "[removed]") for span in spans]
            return redact(replacements, "removed", f"{len(spans)} places were removed")
        return allow()
