import { AREA, mark, putText, releaseTo, takeText } from "./abi";
import { fail } from "./failure";

// @ts-ignore: decorator
@external("portcullis:plugin/secrets@1.0.0", "placeholder")
declare function hostPlaceholder(name: usize, length: usize, area: usize): void;

/** Secrets by name. Asks for `secrets`. An error of the host makes the call fail. */
export namespace secrets {
  /** A placeholder that the host replaces in outgoing headers. */
  export function placeholder(name: string): string {
    const before = mark();
    putText(AREA, name);
    hostPlaceholder(load<u32>(AREA), load<u32>(AREA, 4), AREA);
    releaseTo(before);
    const text = takeText(AREA + 4);
    if (load<u8>(AREA) == 0) return text;
    fail<string | null>(text);
    return "";
  }
}
