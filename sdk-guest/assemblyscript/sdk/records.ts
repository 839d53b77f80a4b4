// The records of the contract on their way from the host and to it. The numbers are places in memory as the canonical ABI
// lays the records out.

import {
  give, putList, putText, putTexts, release, releaseTo, takeBytes, takeOptionalText, takeText,
} from "./abi";
import { takeFailure } from "./failure";
import { Json, Kind } from "./json";
import {
  Approver, AttributedFinding, Call, Decision, Finding, Plan, Reason, Replacement, Span, Step, Verdict,
} from "./types";

let isConfigured = false;

/** The configuration as JSON, no text at all as `{}`; null if it is damaged. */
export function takeConfig(pointer: usize, length: usize): Json | null {
  const text = String.UTF8.decodeUnsafe(pointer, length);
  release(pointer, length);
  return text.trim().length == 0 ? new Json(Kind.Object) : Json.parse(text);
}

/** `result<_, string>`. */
export function configured(problem: string | null): usize {
  const answer = give(12);
  const failure = takeFailure();
  if (problem === null) problem = failure;
  isConfigured = problem === null;
  if (problem !== null) putError(answer, problem);
  return answer;
}

/** The answer of a call: an error if there is one, else null. */
export function failedAnswer(): usize {
  let problem = takeFailure();
  if (!isConfigured) problem = "the plugin was called before it was configured";
  if (problem === null) return 0;
  const answer = give(48);
  putError(answer, problem);
  return answer;
}

function putError(answer: usize, problem: string): void {
  store<u8>(answer, 1);
  putText(answer + 4, problem);
}

/** Frees everything that the host has read by now. */
export function done(answer: usize): void {
  releaseTo(0);
}

export function takeCall(at: usize): Call {
  const call = new Call();
  call.id = takeText(at);
  call.phase = load<u8>(at, 8);
  call.tenant = takeText(at + 12);
  call.agent = takeText(at + 20);
  call.session = takeOptionalText(at + 28);
  call.persona = takeOptionalText(at + 40);
  call.task = takeOptionalText(at + 52);
  call.upstream = takeOptionalText(at + 64);
  call.tool = takeText(at + 76);
  call.digest = takeBytes(at + 84);
  return call;
}

export function takeFindings(at: usize): AttributedFinding[] {
  const findings: AttributedFinding[] = [];
  const list: usize = load<u32>(at), length = load<u32>(at, 4);
  for (let index: u32 = 0; index < length; index++) {
    const one = list + 36 * index;
    const finding = new Finding(takeText(one + 8), load<f32>(one, 16), takeText(one + 20), takeSpans(one + 28));
    findings.push(new AttributedFinding(takeText(one), finding));
  }
  release(list, 36 * length);
  return findings;
}

function takeSpans(at: usize): Span[] {
  const spans: Span[] = [];
  const list: usize = load<u32>(at), length = load<u32>(at, 4);
  for (let index: u32 = 0; index < length; index++) {
    const one = list + 12 * index;
    spans.push(new Span(load<u32>(one), load<u32>(one, 4), load<u32>(one, 8)));
  }
  release(list, 12 * length);
  return spans;
}

export function takeReasons(at: usize): Reason[] {
  const reasons: Reason[] = [];
  const list: usize = load<u32>(at), length = load<u32>(at, 4);
  for (let index: u32 = 0; index < length; index++) {
    reasons.push(new Reason(takeText(list + 16 * index), takeText(list + 16 * index + 8)));
  }
  release(list, 16 * length);
  return reasons;
}

/** `result<list<finding>, string>`, without an error. */
export function putFindings(findings: Finding[]): usize {
  const answer = give(12);
  const list = putList(answer + 4, findings.length, 28);
  for (let index = 0; index < findings.length; index++) {
    const finding = findings[index], one = list + 28 * index;
    putText(one, finding.category);
    store<f32>(one, finding.score, 8);
    putText(one + 12, finding.message);
    const spans = putList(one + 20, finding.spans.length, 12);
    for (let at = 0; at < finding.spans.length; at++) putSpan(spans + 12 * at, finding.spans[at]);
  }
  return answer;
}

function putSpan(at: usize, span: Span): void {
  store<u32>(at, span.text);
  store<u32>(at, span.start, 4);
  store<u32>(at, span.end, 8);
}

function putReasons(at: usize, reasons: Reason[]): void {
  const list = putList(at, reasons.length, 16);
  for (let index = 0; index < reasons.length; index++) {
    putText(list + 16 * index, reasons[index].code);
    putText(list + 16 * index + 8, reasons[index].message);
  }
}

/** `result<verdict, string>`, without an error. */
export function putVerdict(verdict: Verdict): usize {
  const answer = give(24);
  store<u8>(answer, u8(verdict.decision), 4);
  if (verdict.decision == Decision.Allow) return answer;
  putReasons(answer + 8, verdict.reasons);
  if (verdict.decision != Decision.Redact) return answer;
  const list = putList(answer + 16, verdict.replacements.length, 20);
  for (let index = 0; index < verdict.replacements.length; index++) {
    putSpan(list + 20 * index, verdict.replacements[index].span);
    putText(list + 20 * index + 12, verdict.replacements[index].value);
  }
  return answer;
}

/** `result<plan, string>`, without an error. */
export function putPlan(plan: Plan): usize {
  const answer = give(48);
  putApprovers(answer + 4, plan.approvers);
  store<u32>(answer, plan.quorum, 12);
  store<u32>(answer, plan.deadlineSeconds, 16);
  putTexts(answer + 20, plan.channels);
  const list = putList(answer + 28, plan.escalation.length, 20);
  for (let index = 0; index < plan.escalation.length; index++) {
    const step = plan.escalation[index], one = list + 20 * index;
    store<u32>(one, step.afterSeconds);
    putApprovers(one + 4, step.approvers);
    putTexts(one + 12, step.channels);
  }
  putText(answer + 36, plan.summary);
  store<u8>(answer, u8(plan.mayModify), 44);
  return answer;
}

function putApprovers(at: usize, approvers: Approver[]): void {
  const list = putList(at, approvers.length, 12);
  for (let index = 0; index < approvers.length; index++) {
    store<u8>(list + 12 * index, u8(approvers[index].isOperator));
    putText(list + 12 * index + 4, approvers[index].name);
  }
}
