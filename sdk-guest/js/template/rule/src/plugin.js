// Holds large amounts for a person, refuses what is forbidden, and removes what is nobody's business.

import { allow, deny, isStrings, members, redact, review, rule } from "portcullis";

export default rule({
  configure(config) {
    const given = members(config, "review_over", "amount", "deny", "redact");
    const { review_over: reviewOver, amount = "/amount", deny: denied = [], redact: removed = [] } = given;
    if (typeof reviewOver !== "number" || reviewOver < 0) throw new Error("review_over: give a number of at least 0");
    if (typeof amount !== "string" || !/^(\/|$)/.test(amount)) {
      throw new Error("amount: use a JSON pointer, for instance /amount");
    }
    if (!isStrings(denied)) throw new Error("deny: give a list of categories");
    if (!isStrings(removed)) throw new Error("redact: give a list of categories");
    return { reviewOver, amount, denied, removed };
  },

  decide(call, payload, findings, { reviewOver, amount, denied, removed }) {
    const believed = findings.filter(({ finding }) => finding.score >= 0.5);
    const forbidden = believed.find(({ finding }) => denied.includes(finding.category));
    if (forbidden) return deny("forbidden", `${forbidden.plugin} saw ${forbidden.finding.category}`);

    const written = payload.get(amount);
    if (written !== null) {
      if (!/^[-0-9]/.test(written)) return review("odd_amount", "the amount is not a number");
      if (written.length > 400) throw new Error(`amount: a number of ${written.length} characters cannot be judged`);
      if (Number(written) > reviewOver) return review("large_amount", `the amount ${written} is large`);
    }

    const spans = believed.flatMap(({ finding }) => (removed.includes(finding.category) ? finding.spans : []));
    if (spans.length === 0) return allow();
    const replacements = spans.map((span) => ({ span, value: "[removed]" }));
    return redact("removed", `${spans.length} places were removed`, replacements);
  },
});
