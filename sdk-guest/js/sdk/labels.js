import { add, all } from "portcullis:plugin/labels@1.0.0";

import { asking } from "./failure.js";

export const labels = {
  add: (label, value = "") => asking(() => add(label, value)),
  all: () => all(),
};
