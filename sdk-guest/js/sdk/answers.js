// What plugins answer, and its way to the contract. JavaScript has no types at run time, so that every member is looked at:
// a wrong one is an error that says where, and not a trap.

export const allow = () => ({ tag: "allow" });
export const deny = (code, message) => ({ tag: "deny", val: [{ code, message }] });
export const review = (code, message) => ({ tag: "review", val: [{ code, message }] });
export const redact = (code, message, replacements) =>
  ({ tag: "redact", val: { reasons: [{ code, message }], replacements } });
export const role = (name) => ({ tag: "role", val: name });
export const operator = (name) => ({ tag: "operator", val: name });

export const toFindings = (answer) => list(answer, "inspect", "a list of findings").map((one, index) => {
  const at = `findings[${index}]`;
  const { category, score, message, spans = [] } = record(one, at);
  if (typeof score !== "number" || !(score >= 0 && score <= 1)) throw wrong(`${at}.score`, score, "a number from 0 to 1");
  return {
    category: text(category, `${at}.category`),
    score,
    message: text(message, `${at}.message`),
    spans: list(spans, `${at}.spans`, "a list of spans").map((span, of) => toSpan(span, `${at}.spans[${of}]`)),
  };
});

export function toVerdict(answer) {
  const { tag, val } = record(answer, "decide");
  switch (tag) {
    case "allow":
      return { tag };
    case "deny":
    case "review":
      return { tag, val: toReasons(val, tag) };
    case "redact": {
      const { reasons, replacements } = record(val, tag);
      const made = list(replacements, "replacements", "a list").map((one, index) => {
        const at = `replacements[${index}]`;
        const { span, value } = record(one, at);
        return { span: toSpan(span, `${at}.span`), value: text(value, `${at}.value`) };
      });
      return { tag, val: { reasons: toReasons(reasons, tag), replacements: made } };
    }
    default:
      throw wrong("decide", tag, "allow(), redact(…), review(…) or deny(…)");
  }
}

export function toPlan(answer) {
  const plan = record(answer, "route");
  const { quorum = 1, channels = [], escalation = [], mayModify = false } = plan;
  return {
    approvers: toApprovers(plan.approvers, "approvers"),
    quorum: whole(quorum, "quorum"),
    deadlineSeconds: whole(plan.deadlineSeconds, "deadlineSeconds"),
    channels: texts(channels, "channels"),
    escalation: list(escalation, "escalation", "a list of steps").map((one, index) => {
      const at = `escalation[${index}]`;
      const step = record(one, at);
      return {
        afterSeconds: whole(step.afterSeconds, `${at}.afterSeconds`),
        approvers: toApprovers(step.approvers, `${at}.approvers`),
        channels: texts(step.channels ?? [], `${at}.channels`),
      };
    }),
    summary: text(plan.summary, "summary"),
    mayModify: mayModify === true,
  };
}

const toReasons = (reasons, at) => list(reasons, at, "a list of reasons").map((one, index) => {
  const { code, message } = record(one, `${at}[${index}]`);
  return { code: text(code, `${at}[${index}].code`), message: text(message, `${at}[${index}].message`) };
});

const toApprovers = (approvers, at) => list(approvers, at, "a list of approvers").map((one, index) => {
  const { tag, val } = record(one, `${at}[${index}]`);
  if (tag !== "role" && tag !== "operator") throw wrong(`${at}[${index}]`, tag, "role(…) or operator(…)");
  return { tag, val: text(val, `${at}[${index}]`) };
});

const toSpan = (span, at) => {
  const { text: index, start, end } = record(span, at);
  return { text: whole(index, `${at}.text`), start: whole(start, `${at}.start`), end: whole(end, `${at}.end`) };
};

const texts = (value, at) => list(value, at, "a list of texts").map((one, index) => text(one, `${at}[${index}]`));

function text(value, at) {
  if (typeof value !== "string") throw wrong(at, value, "a text");
  return value.toWellFormed();
}

function whole(value, at) {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw wrong(at, value, "a whole number from 0 to 4294967295");
  return value;
}

function list(value, at, wanted) {
  if (!Array.isArray(value)) throw wrong(at, value, wanted);
  return value;
}

function record(value, at) {
  if (typeof value !== "object" || value === null || value instanceof Promise) throw wrong(at, value, "an object");
  return value;
}

/** Says what kind of value there is, not its content: that may be a piece of the payload. */
function wrong(at, value, wanted) {
  const is = value === null ? "null" : value instanceof Promise ? "a promise" : Array.isArray(value) ? "a list"
    : typeof value === "number" ? String(value) : `of type ${typeof value}`;
  return new Error(`${at} is ${is}; it must be ${wanted}`);
}
