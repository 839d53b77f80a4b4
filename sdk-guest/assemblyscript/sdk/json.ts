// JSON for configurations and for values of the payload.

/** What a value is. */
export enum Kind {
  Null,
  False,
  True,
  Number,
  Text,
  List,
  Object,
}

/** Lists and objects in one another, at most. */
const DEPTH: i32 = 128;

/** A JSON value. Members keep their order; of two with the same name the first one counts. */
export class Json {
  /** The text of a text, or a number exactly as it is written. */
  text: string = "";
  /** Items of a list, or values of an object. */
  items: Json[] = [];
  /** Names of an object, in the order of `items`. */
  names: string[] = [];

  constructor(public kind: Kind) {}

  /** Reads a text; null if it is not JSON, or more than 128 deep. */
  static parse(source: string): Json | null {
    const reader = new Reader(source);
    const value = reader.value(0);
    reader.space();
    return reader.failed || reader.at < source.length ? null : value;
  }

  /** The member with this name, or null. */
  get(name: string): Json | null {
    const index = this.names.indexOf(name);
    return index < 0 ? null : this.items[index];
  }

  /** What to tell whoever configures if this is no object, or has other members than these; else null. */
  check(names: string[]): string | null {
    if (this.kind != Kind.Object) return "the configuration is not a JSON object";
    for (let index = 0; index < this.names.length; index++) {
      const name = this.names[index];
      if (!names.includes(name)) return `${name}: there is no such key`;
    }
    return null;
  }

  /** The member as a number: NaN if it is none, `otherwise` if it is missing. */
  number(name: string, otherwise: f64 = NaN): f64 {
    const member = this.get(name);
    if (member === null) return otherwise;
    return member.kind == Kind.Number ? toDouble(member.text) : NaN;
  }

  /** The member as a text: null if it is none, `otherwise` if it is missing. */
  string(name: string, otherwise: string | null = null): string | null {
    const member = this.get(name);
    if (member === null) return otherwise;
    return member.kind == Kind.Text ? member.text : null;
  }

  /** The member as a list of texts: null if it is none, `otherwise` if it is missing. */
  strings(name: string, otherwise: string[] | null = null): string[] | null {
    const member = this.get(name);
    if (member === null) return otherwise;
    if (member.kind != Kind.List) return null;
    const texts: string[] = [];
    for (let index = 0; index < member.items.length; index++) {
      if (member.items[index].kind != Kind.Text) return null;
      texts.push(member.items[index].text);
    }
    return texts;
  }
}

class Reader {
  at: i32 = 0;
  failed: bool = false;

  constructor(private source: string) {}

  /** The code unit here, or 0 at the end. */
  private get here(): i32 {
    return this.at < this.source.length ? this.source.charCodeAt(this.at) : 0;
  }

  private no(): Json {
    this.failed = true;
    return new Json(Kind.Null);
  }

  space(): void {
    while (this.here == 0x20 || this.here == 0x0a || this.here == 0x0d || this.here == 0x09) this.at++;
  }

  /** Goes past a character if it is here. */
  private take(unit: i32): bool {
    if (this.here != unit) return false;
    this.at++;
    return true;
  }

  value(depth: i32): Json {
    this.space();
    if (depth == DEPTH && (this.here == 0x7b || this.here == 0x5b)) return this.no();
    switch (this.here) {
      case 0x7b: return this.object(depth);
      case 0x5b: return this.list(depth);
      case 0x22: {
        const text = new Json(Kind.Text);
        text.text = this.string();
        return text;
      }
      case 0x6e: return this.word("null", Kind.Null);
      case 0x66: return this.word("false", Kind.False);
      case 0x74: return this.word("true", Kind.True);
      default: return this.number();
    }
  }

  private word(word: string, kind: Kind): Json {
    if (!this.source.startsWith(word, this.at)) return this.no();
    this.at += word.length;
    return new Json(kind);
  }

  private object(depth: i32): Json {
    const object = new Json(Kind.Object);
    this.at++;
    this.space();
    if (this.take(0x7d)) return object;
    while (!this.failed) {
      this.space();
      if (this.here != 0x22) return this.no();
      object.names.push(this.string());
      this.space();
      if (!this.take(0x3a)) return this.no();
      object.items.push(this.value(depth + 1));
      this.space();
      if (this.take(0x7d)) break;
      if (!this.take(0x2c)) return this.no();
    }
    return object;
  }

  private list(depth: i32): Json {
    const list = new Json(Kind.List);
    this.at++;
    this.space();
    if (this.take(0x5d)) return list;
    while (!this.failed) {
      list.items.push(this.value(depth + 1));
      this.space();
      if (this.take(0x5d)) break;
      if (!this.take(0x2c)) return this.no();
    }
    return list;
  }

  private digits(): bool {
    const from = this.at;
    while (this.here >= 0x30 && this.here <= 0x39) this.at++;
    return this.at > from;
  }

  private number(): Json {
    const from = this.at;
    this.take(0x2d);
    if (!this.take(0x30) && !this.digits()) return this.no();
    if (this.take(0x2e) && !this.digits()) return this.no();
    if (this.take(0x65) || this.take(0x45)) {
      if (!this.take(0x2b)) this.take(0x2d);
      if (!this.digits()) return this.no();
    }
    const number = new Json(Kind.Number);
    number.text = this.source.substring(from, this.at);
    return number;
  }

  private string(): string {
    const parts: string[] = [];
    this.at++;
    let from = this.at;
    while (this.at < this.source.length) {
      const unit = this.here;
      if (unit == 0x22) {
        parts.push(this.source.substring(from, this.at++));
        return parts.join("");
      }
      if (unit < 0x20) break;
      if (unit != 0x5c) {
        this.at++;
        continue;
      }
      parts.push(this.source.substring(from, this.at++));
      const escaped = this.escape();
      if (escaped === null) break;
      parts.push(escaped);
      from = this.at;
    }
    this.failed = true;
    return "";
  }

  /** What stands behind a backslash; null if it means nothing. */
  private escape(): string | null {
    const unit = this.here;
    this.at++;
    switch (unit) {
      case 0x22: return "\"";
      case 0x5c: return "\\";
      case 0x2f: return "/";
      case 0x62: return "\b";
      case 0x66: return "\f";
      case 0x6e: return "\n";
      case 0x72: return "\r";
      case 0x74: return "\t";
      case 0x75: break;
      default: return null;
    }
    const first = this.hex();
    if (first < 0 || (first & 0xfc00) == 0xdc00) return null;
    if ((first & 0xfc00) != 0xd800) return String.fromCharCode(first);
    if (!this.take(0x5c) || !this.take(0x75)) return null;
    const second = this.hex();
    return second >= 0 && (second & 0xfc00) == 0xdc00 ? String.fromCharCode(first, second) : null;
  }

  /** Four hexadecimal digits, or -1. */
  private hex(): i32 {
    let value = 0;
    for (let count = 0; count < 4; count++) {
      const unit = this.here;
      const lower = unit | 0x20;
      const digit = unit >= 0x30 && unit <= 0x39 ? unit - 0x30 : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
      if (digit < 0) return -1;
      value = value * 16 + digit;
      this.at++;
    }
    return value;
  }
}

/** Digits of a number that are looked at; of the others only whether one is not 0. */
const DIGITS: i32 = 800;

/** The double that is nearest to a JSON number; infinite beyond all doubles. `parseFloat` may miss it by a little. */
export function toDouble(text: string): f64 {
  let at = 0;
  const negative = text.startsWith("-");
  if (negative) at++;
  const digits: u8[] = [];
  let power = 0;
  let point = false;
  let more = false;
  for (; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit == 0x2e) {
      point = true;
      continue;
    }
    if (unit < 0x30 || unit > 0x39) break;
    if (point) power--;
    if (digits.length == 0 && unit == 0x30) continue;
    if (digits.length < DIGITS) {
      digits.push(u8(unit - 0x30));
    } else {
      power++;
      more = more || unit != 0x30;
    }
  }
  if (digits.length == 0) return negative ? -0.0 : 0;
  if (more) digits[DIGITS - 1] = digits[DIGITS - 1] | 1;
  if (at < text.length) {
    const minus = text.charCodeAt(++at) == 0x2d;
    if (minus || text.charCodeAt(at) == 0x2b) at++;
    let exponent = 0;
    for (; at < text.length; at++) exponent = min(exponent * 10 + text.charCodeAt(at) - 0x30, 100000);
    power += minus ? -exponent : exponent;
  }
  const value = nearestDouble(digits, power);
  return negative ? -value : value;
}

function nearestDouble(digits: u8[], power: i32): f64 {
  if (digits.length + power > 310) return Infinity;
  if (digits.length + power < -330) return 0;
  const above = new Big(), below = new Big();
  for (let index = 0; index < digits.length; index++) above.times(10, digits[index]);
  below.times(1, 1);
  for (let count = 0; count < power; count++) above.times(10, 0);
  for (let count = 0; count < -power; count++) below.times(10, 0);
  // From a good guess up or down, one double at a time, until the number lies between the middles to both neighbours.
  let guess = 0.0;
  for (let index = 0; index < min(digits.length, 17); index++) guess = guess * 10 + digits[index];
  const rest = power + digits.length - min(digits.length, 17), half = rest / 2;
  guess = guess * Math.pow(10, f64(half)) * Math.pow(10, f64(rest - half));
  let bits = reinterpret<u64>(min(guess, f64.MAX_VALUE));
  while (true) {
    const up = compareWithMiddle(above, below, bits);
    if (up > 0 || (up == 0 && (bits & 1) != 0)) {
      bits++;
      if (bits >= 0x7ff0000000000000) return Infinity;
      continue;
    }
    if (bits == 0) return 0;
    const down = compareWithMiddle(above, below, bits - 1);
    if (down < 0 || (down == 0 && (bits & 1) != 0)) {
      bits--;
      continue;
    }
    return reinterpret<f64>(bits);
  }
}

/** How `above / below` compares with the middle between the double of these bits and the next one. */
function compareWithMiddle(above: Big, below: Big, bits: u64): i32 {
  const biased = i32(bits >> 52);
  const fraction = bits & 0xfffffffffffff;
  const whole = biased == 0 ? fraction : fraction | 0x10000000000000;
  const power = (biased == 0 ? -1074 : biased - 1075) - 1;
  const left = above.copy(), right = below.copy();
  const middle = 2 * whole + 1;
  right.timesLong(middle);
  if (power > 0) right.shift(power);
  else left.shift(-power);
  return left.compare(right);
}

/** A whole number of any size, least significant part first. */
class Big {
  parts: u32[] = [];

  copy(): Big {
    const copy = new Big();
    copy.parts = this.parts.slice(0);
    return copy;
  }

  times(by: u32, plus: u32): void {
    let carry: u64 = plus;
    for (let index = 0; index < this.parts.length; index++) {
      const product = u64(this.parts[index]) * by + carry;
      this.parts[index] = u32(product);
      carry = product >> 32;
    }
    if (carry > 0) this.parts.push(u32(carry));
  }

  timesLong(by: u64): void {
    const high = this.copy();
    high.times(u32(by >> 32), 0);
    high.shift(32);
    this.times(u32(by), 0);
    let carry: u64 = 0;
    for (let index = 0; index < max(this.parts.length, high.parts.length); index++) {
      const sum = this.part(index) + high.part(index) + carry;
      if (index < this.parts.length) this.parts[index] = u32(sum);
      else this.parts.push(u32(sum));
      carry = sum >> 32;
    }
    if (carry > 0) this.parts.push(u32(carry));
  }

  private part(index: i32): u64 {
    return index < this.parts.length ? u64(this.parts[index]) : 0;
  }

  shift(by: i32): void {
    const parts: u32[] = [];
    for (let count = by >> 5; count > 0; count--) parts.push(0);
    const bits = u64(by & 31);
    let carry: u64 = 0;
    for (let index = 0; index < this.parts.length; index++) {
      const shifted = (u64(this.parts[index]) << bits) | carry;
      parts.push(u32(shifted));
      carry = shifted >> 32;
    }
    if (carry > 0) parts.push(u32(carry));
    this.parts = parts;
  }

  compare(other: Big): i32 {
    for (let index = max(this.parts.length, other.parts.length) - 1; index >= 0; index--) {
      const here = this.part(index), there = other.part(index);
      if (here != there) return here < there ? -1 : 1;
    }
    return 0;
  }
}
