// @ts-ignore: decorator
@external("portcullis:plugin/clock@1.0.0", "now-ms")
declare function hostNow(): u64;

/** The time of the call. Asks for `clock`. */
export namespace clock {
  /** Milliseconds since the Unix epoch, the same for the whole call. */
  export function now(): u64 {
    return hostNow();
  }
}
