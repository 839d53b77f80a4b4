// UTF-8 without TextEncoder and TextDecoder, which QuickJS does not have. A loop over characters would take about ten times as
// long as these functions, which are part of the engine: `unescape(encodeURIComponent(text))` is a text with one unit for each
// byte of UTF-8.

const toBytes = (text) => unescape(encodeURIComponent(text.toWellFormed()));
const fromBytes = (bytes) => decodeURIComponent(escape(bytes));

/** Bytes of UTF-8 in a text. Half of a surrogate pair counts as U+FFFD, which replaces it. */
export const utf8Length = (text) => toBytes(text).length;

export const encode = (text) => Uint8Array.fromBase64(btoa(toBytes(text)));

export function decode(bytes) {
  try {
    return fromBytes(atob(bytes.toBase64()));
  } catch {
    throw new Error("the bytes are not UTF-8");
  }
}

export function covered(texts, { text, start, end }) {
  const value = texts[text]?.value;
  if (value === undefined || start > end) return undefined;
  const bytes = toBytes(value);
  if (end > bytes.length) return undefined;
  try {
    return fromBytes(bytes.slice(start, end));
  } catch {
    return undefined;
  }
}
