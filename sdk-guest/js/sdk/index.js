// Everything a plugin may use. What it does not use is left out of the bundle, and so out of what the plugin imports.

export { detector, router, rule } from "./roles.js";
export { allow, deny, operator, redact, review, role } from "./answers.js";
export { isStrings, members } from "./config.js";
export { covered, decode, encode } from "./utf8.js";
export { log } from "./log.js";
export { clock } from "./clock.js";
export { state } from "./state.js";
export { labels } from "./labels.js";
export { judge, JudgeError } from "./judge.js";
export { http, HttpError } from "./http.js";
export { secrets } from "./secrets.js";
export { files } from "./files.js";
