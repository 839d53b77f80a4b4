import { entries, read } from "portcullis:plugin/files@1.0.0";

import { asking } from "./failure.js";
import { decode } from "./utf8.js";

export const files = {
  read: (path) => asking(() => read(path)),
  text: (path) => decode(asking(() => read(path))),
  entries: (path) => asking(() => entries(path)),
};
