import { get, increment, replace } from "portcullis:plugin/state@1.0.0";

import { asking } from "./failure.js";
import { encode } from "./utf8.js";

const bytes = (value) => (typeof value === "string" ? encode(value) : value ?? null);

export const state = {
  increment: (key, by = 1, windowSeconds = 0) => asking(() => Number(increment(key, by, windowSeconds))),
  get: (key) => asking(() => get(key) ?? null),
  replace: (key, expected, value, ttlSeconds = 0) =>
    asking(() => replace(key, bytes(expected), bytes(value), ttlSeconds)),
};
