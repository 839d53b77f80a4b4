// With the capability `clock`, `Date` shows the time of the call, too.

import { clock } from "../clock.js";
import { replaceNow } from "./now.js";

replaceNow(clock.now);
