import { nowMs } from "portcullis:plugin/clock@1.0.0";

export const clock = { now: () => Number(nowMs()) };
