// Holds large amounts for a person, refuses what is forbidden, and removes what is nobody's business.

import { AttributedFinding, Call, Json, Payload, Replacement, Verdict, fail, toDouble } from "../sdk";

let reviewOver: f64 = 0;
let amount: string = "";
let denied: string[] = [];
let removed: string[] = [];

/** Null, or what to tell whoever configures. */
export function configure(config: Json): string | null {
  const problem = config.check(["review_over", "amount", "deny", "redact"]);
  if (problem !== null) return problem;
  reviewOver = config.number("review_over");
  if (!(reviewOver >= 0)) return "review_over: give a number of at least 0";
  const pointer = config.string("amount", "/amount");
  if (pointer === null || (pointer != "" && !pointer.startsWith("/"))) {
    return "amount: use a JSON pointer, for instance /amount";
  }
  const deny = config.strings("deny", []);
  if (deny === null) return "deny: give a list of categories";
  const redact = config.strings("redact", []);
  if (redact === null) return "redact: give a list of categories";
  amount = pointer;
  denied = deny;
  removed = redact;
  return null;
}

export function decide(call: Call, payload: Payload, findings: AttributedFinding[]): Verdict {
  const replacements: Replacement[] = [];
  for (let f = 0; f < findings.length; f++) {
    const finding = findings[f].finding;
    if (finding.score < 0.5) continue;
    if (denied.includes(finding.category)) {
      return Verdict.deny("forbidden", `${findings[f].plugin} saw ${finding.category}`);
    }
    if (!removed.includes(finding.category)) continue;
    for (let s = 0; s < finding.spans.length; s++) replacements.push(new Replacement(finding.spans[s], "[removed]"));
  }

  const written = payload.get(amount);
  if (written !== null) {
    const first = written.charCodeAt(0);
    if (first != 0x2d && (first < 0x30 || first > 0x39)) return Verdict.review("odd_amount", "the amount is not a number");
    if (written.length > 400) return fail<Verdict>(`amount: a number of ${written.length} characters cannot be judged`);
    if (toDouble(written) > reviewOver) return Verdict.review("large_amount", `the amount ${written} is large`);
  }

  if (replacements.length == 0) return Verdict.allow();
  return Verdict.redact("removed", `${replacements.length} places were removed`, replacements);
}
