import { send } from "portcullis:plugin/http@1.0.0";

import { decode, encode } from "./utf8.js";

export class HttpError extends Error {
  constructor(tag, val) {
    super(val === undefined || val === null ? tag : `${tag}: ${val}`);
    this.name = "HttpError";
    this.tag = tag;
  }
}

export const http = {
  send: (url, { method = "GET", headers = {}, body = "" } = {}) => {
    const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
    const bytes = typeof body === "string" ? encode(body) : body;
    try {
      const answer = send({ method, url, headers: pairs, body: bytes });
      return { ...answer, text: () => decode(answer.body), json: () => JSON.parse(decode(answer.body)) };
    } catch (error) {
      throw typeof error?.tag === "string" ? new HttpError(error.tag, error.val) : error;
    }
  },
};
