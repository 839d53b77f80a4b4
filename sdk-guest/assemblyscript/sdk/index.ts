// Everything a plugin may use. What it does not use is not compiled, and so not imported.

export * from "./types";
export { Text, Payload } from "./payload";
export { Json, Kind, toDouble } from "./json";
export { fail } from "./failure";
export { log } from "./log";
export { clock } from "./clock";
export { state } from "./state";
export { labels, Label } from "./labels";
export { judge } from "./judge";
export { http, Header, Request, Response } from "./http";
export { secrets } from "./secrets";
export { files } from "./files";
