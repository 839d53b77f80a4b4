import { AREA, mark, putBytes, putList, putText, release, releaseTo, takeBytes, takeText } from "./abi";

// @ts-ignore: decorator
@external("portcullis:plugin/http@1.0.0", "send")
declare function hostSend(
  method: usize, methodLength: usize, url: usize, urlLength: usize,
  headers: usize, headersLength: usize, body: usize, bodyLength: usize, area: usize,
): void;

/** A header of a request or an answer. */
export class Header {
  constructor(public name: string, public value: string) {}
}

/** A request. */
export class Request {
  headers: Header[] = [];
  body: Uint8Array = new Uint8Array(0);

  constructor(public method: string, public url: string) {}
}

/** Its answer. */
export class Response {
  constructor(public status: u16, public headers: Header[], public body: Uint8Array) {}

  /** The body as text; what is not UTF-8 in it is not exact. */
  text(): string {
    return String.UTF8.decodeUnsafe(this.body.dataStart, this.body.length);
  }
}

/** Requests to granted hosts; redirects are not followed. Asks for `http`. */
export namespace http {
  /** Why the last request has no answer: `forbidden`, `unreachable`, `timed-out` or `too-large`; empty if it has one. */
  export let problem: string = "";

  /** Sends a request; null if there is no answer: then `http.problem` says why. */
  export function send(request: Request): Response | null {
    const before = mark();
    putText(AREA, request.method);
    putText(AREA + 8, request.url);
    const list = putList(AREA + 16, request.headers.length, 16);
    for (let index = 0; index < request.headers.length; index++) {
      putText(list + 16 * index, request.headers[index].name);
      putText(list + 16 * index + 8, request.headers[index].value);
    }
    putBytes(AREA + 24, request.body);
    hostSend(
      load<u32>(AREA), load<u32>(AREA, 4), load<u32>(AREA, 8), load<u32>(AREA, 12),
      load<u32>(AREA, 16), load<u32>(AREA, 20), load<u32>(AREA, 24), load<u32>(AREA, 28), AREA,
    );
    releaseTo(before);
    problem = "";
    if (load<u8>(AREA) == 0) return answer();
    switch (load<u8>(AREA, 4)) {
      case 0:
        takeText(AREA + 8);
        problem = "forbidden";
        break;
      case 1:
        takeText(AREA + 8);
        problem = "unreachable";
        break;
      case 2:
        problem = "timed-out";
        break;
      default:
        problem = "too-large";
    }
    return null;
  }

  function answer(): Response {
    const headers: Header[] = [];
    const list: usize = load<u32>(AREA, 8), length = load<u32>(AREA, 12);
    for (let index: u32 = 0; index < length; index++) {
      const at = list + 16 * index;
      headers.push(new Header(takeText(at), takeText(at + 8)));
    }
    release(list, 16 * length);
    return new Response(load<u16>(AREA, 4), headers, takeBytes(AREA + 16));
  }
}
