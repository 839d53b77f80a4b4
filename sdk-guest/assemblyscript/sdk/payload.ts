import { AREA, mark, putText, release, releaseTo, takeBytes, takeOptionalText, takeText, takeTexts } from "./abi";
import { Span } from "./types";

// @ts-ignore: decorator
@external("portcullis:plugin/payload@1.0.0", "raw")
declare function hostRaw(area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/payload@1.0.0", "texts")
declare function hostTexts(area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/payload@1.0.0", "names")
declare function hostNames(area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/payload@1.0.0", "get")
declare function hostGet(pointer: usize, length: usize, area: usize): void;

/** The payload of the call at hand. */
export class Payload {
  /** The payload as JSON text, exactly as received. */
  raw(): string {
    hostRaw(AREA);
    return takeText(AREA);
  }

  /** Every string in the payload (member names excluded), in document order. */
  texts(): Text[] {
    hostTexts(AREA);
    const list: usize = load<u32>(AREA), length = load<u32>(AREA, 4);
    const texts: Text[] = [];
    for (let index: u32 = 0; index < length; index++) {
      const at = list + 16 * index;
      texts.push(new Text(index, takeText(at), takeBytes(at + 8)));
    }
    release(list, 16 * length);
    return texts;
  }

  /** Every distinct member name, in order of first appearance. */
  names(): string[] {
    hostNames(AREA);
    return takeTexts(AREA);
  }

  /** The JSON text at an RFC 6901 pointer, exactly as received, or null. */
  get(pointer: string): string | null {
    const before = mark();
    putText(AREA, pointer);
    hostGet(load<u32>(AREA), load<u32>(AREA, 4), AREA);
    releaseTo(before);
    return takeOptionalText(AREA);
  }
}

/** One string of the payload, decoded. AssemblyScript counts in units of UTF-16, the contract in bytes of UTF-8. */
export class Text {
  private decoded: string | null = null;

  constructor(
    /** Its index in `payload.texts()`. */
    public index: u32,
    /** Its RFC 6901 pointer. */
    public pointer: string,
    /** Its content as UTF-8. */
    public bytes: Uint8Array,
  ) {}

  /** Its content. */
  get value(): string {
    if (this.decoded === null) this.decoded = String.UTF8.decodeUnsafe(this.bytes.dataStart, this.bytes.length);
    return this.decoded!;
  }

  /** The span from one index of `value` to another; indexes that are not in it are brought into it. */
  span(start: i32, end: i32): Span {
    return new Span(this.index, this.byteAt(start, false), this.byteAt(end, true));
  }

  /** The span of the whole text. */
  whole(): Span {
    return new Span(this.index, 0, this.bytes.length);
  }

  /** Where a word stands, from left to right, ASCII letters in either case; at most `most` places. */
  find(word: string, most: i32 = i32.MAX_VALUE): Span[] {
    const spans: Span[] = [];
    const wanted = Uint8Array.wrap(String.UTF8.encode(word));
    if (wanted.length == 0) return spans;
    const begin = this.bytes.dataStart, end = begin + this.bytes.length;
    for (let from = begin; spans.length < most; ) {
      const at = seek(from, end, wanted.dataStart, wanted.length);
      if (at == 0) break;
      from = at + wanted.length;
      spans.push(new Span(this.index, u32(at - begin), u32(from - begin)));
    }
    return spans;
  }

  /** The byte at an index of `value`. In the middle of a character it is its first one, or the one after it. */
  private byteAt(index: i32, after: bool): u32 {
    let unit = 0;
    let byte = 0;
    while (byte < this.bytes.length && unit < index) {
      const first = load<u8>(this.bytes.dataStart + byte);
      const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
      unit += length == 4 ? 2 : 1;
      if (unit > index && !after) return byte;
      byte += length;
    }
    return byte;
  }
}

/** Where a word stands first, ASCII letters in either case; 0 if it does not. Its first byte is looked for eight at a time. */
function seek(from: usize, end: usize, word: usize, length: usize): usize {
  const one = folded(load<u8>(word)), other = one - 0x61 < 26 ? one ^ 0x20 : one;
  const ones = 0x0101010101010101 * u64(one), others = 0x0101010101010101 * u64(other);
  let at = from;
  while (at + length <= end) {
    if (at + 8 <= end) {
      const bytes = load<u64>(at), left = bytes ^ ones, right = bytes ^ others;
      const zeros = ((left - 0x0101010101010101) & ~left) | ((right - 0x0101010101010101) & ~right);
      const marks = zeros & 0x8080808080808080;
      if (marks == 0) {
        at += 8;
        continue;
      }
      // The lowest mark is always right; the ones above it may come from a borrow.
      at += usize(ctz(marks) >> 3);
      if (at + length > end) return 0;
    }
    let next: usize = 0;
    while (next < length && folded(load<u8>(at + next)) == folded(load<u8>(word + next))) next++;
    if (next == length) return at;
    at++;
  }
  return 0;
}

// @ts-ignore: decorator
@inline
function folded(byte: u8): u8 {
  return byte - 0x41 < 26 ? byte | 0x20 : byte;
}
