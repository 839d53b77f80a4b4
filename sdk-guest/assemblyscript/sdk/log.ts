import { AREA, mark, putText, releaseTo } from "./abi";

// @ts-ignore: decorator
@external("portcullis:plugin/log@1.0.0", "write")
export declare function hostLog(level: i32, pointer: usize, length: usize): void;

function write(level: i32, message: string): void {
  const before = mark();
  putText(AREA, message);
  hostLog(level, load<u32>(AREA), load<u32>(AREA, 4));
  releaseTo(before);
}

/** Lines for the operator, at most 4 KiB each. Never write arguments. */
export namespace log {
  export function trace(message: string): void { write(0, message); }
  export function debug(message: string): void { write(1, message); }
  export function info(message: string): void { write(2, message); }
  export function warn(message: string): void { write(3, message); }
  export function error(message: string): void { write(4, message); }
}

/** What `console` is in a plugin: its lines go to the log. */
export namespace console {
  export function log(message: string = ""): void { write(2, message); }
  export function debug(message: string = ""): void { write(1, message); }
  export function info(message: string = ""): void { write(2, message); }
  export function warn(message: string = ""): void { write(3, message); }
  export function error(message: string = ""): void { write(4, message); }
}
