// UTF-8 by hand: QuickJS has no TextEncoder and no TextDecoder.

/** Bytes of UTF-8 in a part of a text. Half of a pair counts as U+FFFD, which replaces it. */
export function utf8Length(text, from = 0, to = text.length) {
  let bytes = 0;
  for (let at = from; at < to; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (text.codePointAt(at) > 0xffff && at + 1 < to) {
      bytes += 4;
      at += 1;
    } else bytes += 3;
  }
  return bytes;
}

export function encode(text) {
  const bytes = new Uint8Array(utf8Length(text));
  let to = 0;
  for (const character of text.toWellFormed()) {
    const code = character.codePointAt(0);
    if (code < 0x80) bytes[to++] = code;
    else {
      const tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      bytes[to++] = [0, 0xc0, 0xe0, 0xf0][tail] | (code >> (6 * tail));
      for (let left = tail - 1; left >= 0; left -= 1) bytes[to++] = 0x80 | ((code >> (6 * left)) & 0x3f);
    }
  }
  return bytes;
}

export function decode(bytes) {
  const parts = [];
  let codes = [];
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at];
    const tail = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2
      : first >= 0xf0 && first < 0xf5 ? 3 : -1;
    let code = tail === 0 ? first : first & (0x3f >> tail);
    for (let next = 1; next <= tail; next += 1) {
      const byte = bytes[at + next];
      if (byte === undefined || byte >> 6 !== 2) throw notUtf8(at);
      code = (code << 6) | (byte & 0x3f);
    }
    const least = [0, 0x80, 0x800, 0x10000][tail];
    if (tail < 0 || code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw notUtf8(at);
    codes.push(code);
    at += tail + 1;
    if (codes.length === 1024) {
      parts.push(String.fromCodePoint(...codes));
      codes = [];
    }
  }
  return parts.join("") + String.fromCodePoint(...codes);
}

const notUtf8 = (at) => new Error(`the bytes are not UTF-8: byte ${at}`);
