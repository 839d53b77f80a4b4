import * as plugin from "../../src/plugin";
import { release } from "../abi";
import { Payload } from "../payload";
import { failedAnswer, putFindings, takeCall } from "../records";

export { cabi_realloc } from "../abi";
export { configure } from "./configure";
export { done as cabi_post_configure, done as cabi_post_inspect } from "../records";

export function inspect(given: usize): usize {
  const call = takeCall(given);
  release(given, 92);
  const findings = plugin.inspect(call, new Payload());
  return failedAnswer() || putFindings(findings);
}
