// Without the capability `clock` there is no time: an error says so, where QuickJS would trap.

import { replaceNow } from "./now.js";

replaceNow(() => {
  throw new Error('there is no clock here; add "clock" to asks in plugin.toml');
});
