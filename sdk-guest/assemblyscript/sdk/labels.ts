import { AREA, mark, putText, release, releaseTo, takeText } from "./abi";
import { fail } from "./failure";

// @ts-ignore: decorator
@external("portcullis:plugin/labels@1.0.0", "add")
declare function hostAdd(label: usize, labelLength: usize, value: usize, valueLength: usize, area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/labels@1.0.0", "all")
declare function hostAll(area: usize): void;

/** A label of a session. */
export class Label {
  constructor(public label: string, public value: string) {}
}

/** Labels that a session carries from call to call. Asks for `labels`. An error of the host makes the call fail. */
export namespace labels {
  /** Adds a label; again with another value adds a second one. */
  export function add(label: string, value: string = ""): void {
    const before = mark();
    putText(AREA, label);
    putText(AREA + 8, value);
    hostAdd(load<u32>(AREA), load<u32>(AREA, 4), load<u32>(AREA, 8), load<u32>(AREA, 12), AREA);
    releaseTo(before);
    if (load<u8>(AREA) != 0) fail<string | null>(takeText(AREA + 4));
  }

  /** All labels of the session, oldest first. */
  export function all(): Label[] {
    hostAll(AREA);
    const list: usize = load<u32>(AREA), length = load<u32>(AREA, 4);
    const labels: Label[] = [];
    for (let index: u32 = 0; index < length; index++) {
      const at = list + 16 * index;
      labels.push(new Label(takeText(at), takeText(at + 8)));
    }
    release(list, 16 * length);
    return labels;
  }
}
