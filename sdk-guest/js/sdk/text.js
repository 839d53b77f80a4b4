import { utf8Length } from "./utf8.js";

/** One string of the payload. JavaScript counts in units of UTF-16, the contract in bytes of UTF-8. */
export class Text {
  // The value with these letters in lower case.
  #folded;
  #letters;
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
    if (word === "" || most <= 0) return spans;
    const { wanted, letters } = prepared(word);
    this.#fold(letters);
    let start = 0;
    // Between two parts stands the word.
    const parts = this.#folded.split(wanted, Math.min(most, 0x7fffffff) + 1);
    for (const part of parts.slice(0, -1)) {
      start += part.length;
      spans.push(this.span(start, start + wanted.length));
      start += wanted.length;
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

  // All of this runs in the engine: a loop over characters would take twenty times as long. A pattern is quick to start, and
  // looking for one letter after the other is quick for each character.
  #fold(letters) {
    if (this.#folded === undefined) {
      const isShort = this.value.length < 256;
      this.#folded = isShort ? folded(this.value) : this.value;
      this.#letters = isShort ? ALL : new Set();
    }
    if (this.#letters === ALL) return;
    for (const letter of letters) {
      if (this.#letters.has(letter)) continue;
      this.#folded = this.#folded.replaceAll(letter, letter.toLowerCase());
      this.#letters.add(letter);
    }
  }

  #splits(at) {
    return isLow(this.value.charCodeAt(at)) && isHigh(this.value.charCodeAt(at - 1));
  }

  #bytes(at) {
    if (at < this.#unit) this.#unit = this.#byte = 0;
    this.#byte += utf8Length(this.value.slice(this.#unit, at));
    this.#unit = at;
    return this.#byte;
  }
}

const ALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** The text with ASCII letters in lower case, and everything else as it was. */
const folded = (text) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Words that were looked for: mostly the same in every text. */
const words = new Map();

/** The word with its letters in lower case, and which letters these are, in upper case. */
function prepared(word) {
  let one = words.get(word);
  if (one === undefined) {
    if (words.size >= 1000) words.clear();
    one = { wanted: folded(word), letters: new Set(word.toUpperCase().match(/[A-Z]/g)) };
    words.set(word, one);
  }
  return one;
}

const isHigh = (unit) => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit) => unit >= 0xdc00 && unit <= 0xdfff;
