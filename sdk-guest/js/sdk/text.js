import { utf8Length } from "./utf8.js";

/** One string of the payload. JavaScript counts in units of UTF-16, the contract in bytes of UTF-8. */
export class Text {
  #ascii;
  #folded;
  // The last place whose bytes were counted: places are mostly asked for from left to right.
  #unit = 0;
  #byte = 0;

  constructor(index, pointer, value) {
    this.index = index;
    this.pointer = pointer;
    this.value = value;
  }

  span(start, end) {
    for (const at of [start, end]) {
      if (!Number.isInteger(at) || at < 0 || at > this.value.length) {
        throw new Error(`span: ${at} is not a place in a text of ${this.value.length} units`);
      }
    }
    if (start > end) throw new Error(`span: it ends at ${end}, before its start at ${start}`);
    // A half of a character is the whole character.
    if (this.#splits(start)) start -= 1;
    if (this.#splits(end)) end += 1;
    return { text: this.index, start: this.#bytes(start), end: this.#bytes(end) };
  }

  whole() {
    return this.span(0, this.value.length);
  }

  find(word, most = Infinity) {
    const spans = [];
    if (word === "") return spans;
    this.#folded ??= folded(this.value);
    const wanted = folded(word);
    for (let from = 0; spans.length < most;) {
      const at = this.#folded.indexOf(wanted, from);
      if (at < 0) break;
      from = at + wanted.length;
      spans.push(this.span(at, from));
    }
    return spans;
  }

  matches(pattern, most = Infinity) {
    const global = pattern.global ? pattern : new RegExp(pattern.source, `${pattern.flags}g`);
    const found = [];
    for (const match of this.value.matchAll(global)) {
      if (found.length >= most) break;
      found.push({ match, span: this.span(match.index, match.index + match[0].length) });
    }
    return found;
  }

  #splits(at) {
    return isLow(this.value.charCodeAt(at)) && isHigh(this.value.charCodeAt(at - 1));
  }

  #bytes(at) {
    this.#ascii ??= /^[\0-\x7f]*$/.test(this.value);
    if (this.#ascii) return at;
    if (at < this.#unit) this.#unit = this.#byte = 0;
    this.#byte += utf8Length(this.value, this.#unit, at);
    this.#unit = at;
    return this.#byte;
  }
}

const isHigh = (unit) => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit) => unit >= 0xdc00 && unit <= 0xdfff;

/** The text with ASCII letters in lower case, and everything else as it was. */
const folded = (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

export function covered(texts, span) {
  const value = texts[span.text]?.value;
  if (value === undefined) return undefined;
  let byte = 0;
  let start;
  for (let unit = 0; ;) {
    if (byte === span.start) start = unit;
    if (byte === span.end) return start === undefined ? undefined : value.slice(start, unit);
    if (unit >= value.length || byte > span.end) return undefined;
    const next = unit + (value.codePointAt(unit) > 0xffff ? 2 : 1);
    byte += utf8Length(value, unit, next);
    unit = next;
  }
}
