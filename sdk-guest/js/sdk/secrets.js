import { placeholder } from "portcullis:plugin/secrets@1.0.0";

import { asking } from "./failure.js";

export const secrets = { placeholder: (name) => asking(() => placeholder(name)) };
