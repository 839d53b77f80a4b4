import { AREA, mark, putText, releaseTo, takeBytes, takeText, takeTexts } from "./abi";
import { fail } from "./failure";

// @ts-ignore: decorator
@external("portcullis:plugin/files@1.0.0", "read")
declare function hostRead(path: usize, length: usize, area: usize): void;
// @ts-ignore: decorator
@external("portcullis:plugin/files@1.0.0", "entries")
declare function hostEntries(path: usize, length: usize, area: usize): void;

/** Read-only folders; best read in `configure`. Asks for `files`. An error of the host makes the call fail. */
export namespace files {
  /** The bytes of `<folder name>/<relative path>`, at most 16 MiB. */
  export function read(path: string): Uint8Array {
    const before = mark();
    putText(AREA, path);
    hostRead(load<u32>(AREA), load<u32>(AREA, 4), AREA);
    releaseTo(before);
    if (load<u8>(AREA) == 0) return takeBytes(AREA + 4);
    fail<string | null>(takeText(AREA + 4));
    return new Uint8Array(0);
  }

  /** Names in a folder, sorted; folders end with `/`. */
  export function entries(path: string): string[] {
    const before = mark();
    putText(AREA, path);
    hostEntries(load<u32>(AREA), load<u32>(AREA, 4), AREA);
    releaseTo(before);
    if (load<u8>(AREA) == 0) return takeTexts(AREA + 4);
    fail<string | null>(takeText(AREA + 4));
    return [];
  }
}
