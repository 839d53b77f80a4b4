// Preloaded into the suites, which cannot send a token themselves: adds one to every request.

import http from 'node:http';
import { createRequire } from 'node:module';

const value = `Bearer ${process.env.CONFORMANCE_TOKEN}`;

const plainFetch = globalThis.fetch;
globalThis.fetch = (input, init = {}) => {
  const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
  headers.set('authorization', value);
  return plainFetch(input, { ...init, headers });
};

const plainRequest = http.request;
http.request = (...given) => {
  const request = plainRequest(...given);
  request.setHeader('authorization', value);
  return request;
};

// The scenario that forges hosts has a client of its own.
const undici = createRequire(process.argv[1])('undici');
const plainUndici = undici.request;
undici.request = (url, options = {}) =>
  plainUndici(url, { ...options, headers: { ...options.headers, authorization: value } });
