import { AREA, mark, putBytes, putText, releaseTo, takeBytes, takeText } from "./abi";
import { fail } from "./failure";

// @ts-ignore: decorator
@external("portcullis:plugin/state@1.0.0", "increment")
declare function hostIncrement(key: usize, length: usize, by: u64, window: u32, area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/state@1.0.0", "get")
declare function hostGet(key: usize, length: usize, area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/state@1.0.0", "replace")
declare function hostReplace(
  key: usize, length: usize,
  isExpected: i32, expected: usize, expectedLength: usize,
  isValue: i32, value: usize, valueLength: usize,
  ttl: u32, area: usize,
): void;

/** Small state of this plugin in one tenant, atomic, durable. Asks for `state`. An error of the host makes the call fail. */
export namespace state {
  /** Adds to a counter over a sliding window (0 never forgets) and returns the sum with it. */
  export function increment(key: string, by: u64 = 1, windowSeconds: u32 = 0): u64 {
    const before = mark();
    putText(AREA, key);
    hostIncrement(load<u32>(AREA), load<u32>(AREA, 4), by, windowSeconds, AREA);
    releaseTo(before);
    if (load<u8>(AREA) == 0) return load<u64>(AREA, 8);
    fail<string | null>(takeText(AREA + 8));
    return u64.MAX_VALUE;
  }

  /** The value under a key, or null. */
  export function get(key: string): Uint8Array | null {
    const before = mark();
    putText(AREA, key);
    hostGet(load<u32>(AREA), load<u32>(AREA, 4), AREA);
    releaseTo(before);
    if (load<u8>(AREA) != 0) return fail<Uint8Array | null>(takeText(AREA + 4));
    return load<u8>(AREA, 4) == 0 ? null : takeBytes(AREA + 8);
  }

  /** Replaces a value if it still equals `expected`; false if it does not. Null is no value. A ttl of 0 keeps it. */
  export function replace(key: string, expected: Uint8Array | null, value: Uint8Array | null, ttlSeconds: u32 = 0): bool {
    const before = mark();
    memory.fill(AREA, 0, 32);
    putText(AREA, key);
    if (expected !== null) putBytes(AREA + 8, expected);
    if (value !== null) putBytes(AREA + 16, value);
    hostReplace(
      load<u32>(AREA), load<u32>(AREA, 4),
      i32(expected !== null), load<u32>(AREA, 8), load<u32>(AREA, 12),
      i32(value !== null), load<u32>(AREA, 16), load<u32>(AREA, 20),
      ttlSeconds, AREA,
    );
    releaseTo(before);
    if (load<u8>(AREA) == 0) return load<u8>(AREA, 4) != 0;
    fail<string | null>(takeText(AREA + 4));
    return false;
  }
}
