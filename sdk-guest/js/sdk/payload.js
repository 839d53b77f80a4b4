import { get, names, raw, texts } from "portcullis:plugin/payload@1.0.0";

import { Text } from "./text.js";

/** The payload of the call at hand. */
export const payload = {
  raw: () => raw(),
  texts: () => texts().map(({ pointer, value }, index) => new Text(index, pointer, value)),
  names: () => names(),
  get: (pointer) => get(pointer) ?? null,
  value: (pointer = "") => {
    const text = get(pointer) ?? null;
    return text === null ? undefined : JSON.parse(text);
  },
};
