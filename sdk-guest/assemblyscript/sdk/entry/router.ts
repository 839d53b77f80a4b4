import * as plugin from "../../src/plugin";
import { release } from "../abi";
import { Payload } from "../payload";
import { failedAnswer, putPlan, takeCall, takeFindings, takeReasons } from "../records";

export { cabi_realloc } from "../abi";
export { configure } from "./configure";
export { done as cabi_post_configure, done as cabi_post_route } from "../records";

export function route(given: usize): usize {
  const call = takeCall(given), findings = takeFindings(given + 92), reasons = takeReasons(given + 100);
  release(given, 108);
  const plan = plugin.route(call, new Payload(), findings, reasons);
  return failedAnswer() || putPlan(plan);
}
