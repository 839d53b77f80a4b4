// Errors of plugin code. AssemblyScript has no exceptions that could be caught: an error is left here, and the answer that is
// returned with it is not looked at.

import { hostLog } from "./log";
import { give, putText } from "./abi";

let failed: string | null = null;

/** Makes the call fail: `return fail<Finding[]>("why")`. What is returned after it is not looked at. */
export function fail<T>(message: string): T {
  if (failed === null) failed = message;
  return changetype<T>(0);
}

/** The error of the call, which is then forgotten. */
export function takeFailure(): string | null {
  const message = failed;
  failed = null;
  return message;
}

/** What the compiler calls before it traps. The message is not logged: it may hold a piece of the payload. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const place = give(8);
  putText(place, `aborted at ${file === null ? "?" : file!}:${line}:${column}`);
  hostLog(4, load<u32>(place), load<u32>(place, 4));
  unreachable();
}

/** The seed of `Math.random`: always the same, since a plugin must be repeatable. */
export function seed(): f64 {
  return reinterpret<f64>(0x3fe6a09e667f3bcd);
}
