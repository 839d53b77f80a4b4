import * as plugin from "../../src/plugin";
import { release } from "../abi";
import { Payload } from "../payload";
import { failedAnswer, putVerdict, takeCall, takeFindings } from "../records";

export { cabi_realloc } from "../abi";
export { configure } from "./configure";
export { done as cabi_post_configure, done as cabi_post_decide } from "../records";

export function decide(given: usize): usize {
  const call = takeCall(given), findings = takeFindings(given + 92);
  release(given, 100);
  const verdict = plugin.decide(call, new Payload(), findings);
  return failedAnswer() || putVerdict(verdict);
}
