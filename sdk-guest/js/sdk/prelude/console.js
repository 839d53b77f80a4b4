// `console` of a plugin: its lines go to the host's log.

import { log } from "../log.js";

globalThis.console = { ...log, log: log.info };
