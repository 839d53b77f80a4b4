import { send } from "portcullis:plugin/http@1.0.0";

import { asking, named } from "./failure.js";
import { decode, encode } from "./utf8.js";

export class HttpError extends Error {
  constructor(problem) {
    super(named(problem));
    this.name = "HttpError";
    this.tag = problem.tag;
  }
}

export const http = {
  send: (url, { method = "GET", headers = {}, body = "" } = {}) => {
    const request = {
      method,
      url,
      headers: Array.isArray(headers) ? headers : Object.entries(headers),
      body: typeof body === "string" ? encode(body) : body,
    };
    const answer = asking(() => send(request), (problem) => new HttpError(problem));
    return { ...answer, text: () => decode(answer.body), json: () => JSON.parse(decode(answer.body)) };
  },
};
