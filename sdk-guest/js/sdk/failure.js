// Errors of plugin code, as the host is told.

import { write } from "portcullis:plugin/log@1.0.0";

/** The text of an error. Errors that the plugin did not make on purpose are logged with their place in the bundle. */
export function described(error) {
  if (!(error instanceof Error)) return String(error).toWellFormed();
  const own = error.name === "Error" || !BUILT_IN.includes(error.constructor);
  if (!own) write("error", `${error.name}\n${error.stack ?? ""}`.trimEnd());
  // What cannot be parsed is quoted in its error, and it may be a piece of the payload.
  if (error instanceof SyntaxError) return "SyntaxError: a text that cannot be parsed";
  return (own ? error.message : `${error.name}: ${error.message}`).toWellFormed();
}

const BUILT_IN = [TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, globalThis.InternalError];

/** Calls the host. An error that it answers with, a text or a case of a variant, is thrown as `made` makes it. */
export function asking(ask, made = (problem) => new Error(problem)) {
  try {
    return ask();
  } catch (error) {
    throw error?.payload === undefined ? error : made(error.payload);
  }
}

/** The text of a case of a variant. */
export const named = ({ tag, val }) => (val === undefined || val === null ? tag : `${tag}: ${val}`);
