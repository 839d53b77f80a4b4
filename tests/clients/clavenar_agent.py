"""Clavenar's published agent SDK against a server: python clavenar_agent.py ENDPOINT, with the tokens AGENT, LIMITED and
OPERATOR in the environment. Prints one JSON object: what each step came to."""
import asyncio
import json
import os
import sys
import threading
import time
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from clavenar_agent_sdk import (
    ClavenarDenied,
    ClavenarOptions,
    ClavenarPending,
    ClavenarRateLimited,
    ClavenarTransportError,
    NormalizedToolCall,
    clavenar_wrap,
    inspect_realtime_function_call,
    inspect_tool_use,
    inspect_tool_use_sync,
)

ENDPOINT = sys.argv[1]
HARMLESS = ("read_file", {"path": "a.txt"})
DANGEROUS = ("sql_execute", {"query": "DROP TABLE users"})


def payment():
    """A call that waits for a person, never the same one twice."""
    return ("wire_transfer", {"amount": 5, "reference": str(uuid.uuid4())})


def options(token=None, endpoint=ENDPOINT):
    token = os.environ["AGENT"] if token is None else token
    return ClavenarOptions(endpoint=endpoint, token=token, allow_insecure_loopback=True)


def tool_call(call):
    return NormalizedToolCall(id="call_1", name=call[0], input=call[1])


def outcome(error):
    """What the SDK made of an answer."""
    if isinstance(error, ClavenarDenied):
        return {"denied": error.tool_name, "reasons": error.reasons, "category": error.intent_category}
    if isinstance(error, ClavenarPending):
        return {"pending": error.tool_name, "reasons": error.review_reasons}
    if isinstance(error, ClavenarRateLimited):
        return {"limited": error.code, "again": error.retry_after_secs is not None}
    if isinstance(error, ClavenarTransportError):
        return {"transport": error.status}
    raise error


def decide(pending, decision, note):
    body = json.dumps({"decision": decision, "note": note}).encode()
    request = urllib.request.Request(f"{ENDPOINT}/pending/{pending.correlation_id}/decide", body)
    request.add_header("authorization", f"Bearer {os.environ['OPERATOR']}")
    urllib.request.urlopen(request, timeout=30).read()


def later(*decision):
    threading.Timer(0.3, decide, decision).start()


# Clients of two model providers, as far as the SDK looks at them.


def anthropic_answer(calls):
    blocks = [{"type": "tool_use", "id": f"t{i}", "name": name, "input": args} for i, (name, args) in enumerate(calls)]
    return SimpleNamespace(content=blocks, stop_reason="tool_use")


def anthropic_events(call):
    name, arguments = call
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": name}}
    text = json.dumps(arguments)
    for part in (text[:7], text[7:]):
        delta = {"type": "input_json_delta", "partial_json": part}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}


def openai_answer(calls):
    functions = [{"name": name, "arguments": json.dumps(args)} for name, args in calls]
    made = [{"type": "function", "id": f"t{i}", "function": function} for i, function in enumerate(functions)]
    choice = SimpleNamespace(message=SimpleNamespace(tool_calls=made), finish_reason="tool_calls")
    return SimpleNamespace(choices=[choice])


def openai_chunks(call):
    name, arguments = call
    text = json.dumps(arguments)
    first = {"index": 0, "id": "t", "function": {"name": name, "arguments": text[:7]}}
    for delta in (first, {"index": 0, "function": {"arguments": text[7:]}}):
        yield {"choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


async def each(items):
    for item in items:
        yield item


def client(provider, asynchronous, calls, stream):
    if provider == "anthropic":
        make = (lambda: anthropic_events(calls[0])) if stream else (lambda: anthropic_answer(calls))
    else:
        make = (lambda: openai_chunks(calls[0])) if stream else (lambda: openai_answer(calls))

    async def create_async(**_):
        return each(make()) if stream else make()

    holder = SimpleNamespace(create=create_async if asynchronous else lambda **_: make())
    whole = SimpleNamespace(messages=holder) if provider == "anthropic" else SimpleNamespace(
        chat=SimpleNamespace(completions=holder))
    return clavenar_wrap(whole, options()), holder


def run(provider, asynchronous, calls, stream=False):
    """Asks a wrapped client for an answer with these calls; the error that the SDK raises, if any."""
    _, holder = client(provider, asynchronous, calls, stream)

    async def turn():
        answer = await holder.create(stream=stream)
        return [event async for event in answer] if stream else answer

    try:
        if asynchronous:
            asyncio.run(turn())
        else:
            answer = holder.create(stream=stream)
            if stream:
                list(answer)
    except (ClavenarDenied, ClavenarPending, ClavenarRateLimited, ClavenarTransportError) as error:
        return error
    return None


def wrapped():
    for provider in ("anthropic", "openai"):
        for asynchronous in (False, True):
            for stream in (False, True):
                for call in (HARMLESS, DANGEROUS, payment()):
                    error = run(provider, asynchronous, [call], stream)
                    kind = f"{'async' if asynchronous else 'sync'} {'stream' if stream else 'answer'}"
                    yield f"{provider} {kind} {call[0]}", outcome(error) if error else "allowed"
        error = run(provider, False, [HARMLESS, DANGEROUS])
        yield f"{provider} batch with one that is refused", outcome(error)
        error = run(provider, False, [HARMLESS, payment()])
        yield f"{provider} batch with one that waits", outcome(error)
        later(error, "allow", "both of them")
        error.resolve_sync(poll_interval_s=0.1, timeout_s=30)
        yield f"{provider} batch, approved", "resolved"


def resolved():
    allowed = run("anthropic", False, [payment()])
    later(allowed, "allow", "checked")
    allowed.resolve_sync(poll_interval_s=0.1, timeout_s=30)
    yield "approved", "resolved"
    denied = run("openai", True, [payment()])
    later(denied, "deny", "vendor not on file")
    try:
        asyncio.run(denied.resolve(poll_interval_s=0.1, timeout_s=30))
    except ClavenarDenied as error:
        yield "refused by a person", outcome(error)


def direct():
    for name, call in (("harmless", HARMLESS), ("dangerous", DANGEROUS), ("payment", payment())):
        yield f"direct {name}", inspect_tool_use_sync(tool_call(call), options()).kind
        yield f"direct async {name}", asyncio.run(inspect_tool_use(tool_call(call), options())).kind
    below = inspect_tool_use_sync(tool_call(DANGEROUS), options(endpoint=f"{ENDPOINT}/clavenar/"))
    yield "below a base path", below.kind
    event = {"type": "response.function_call_arguments.done", "call_id": "c", "name": "shell", "arguments": "rm -rf /"}
    yield "realtime, arguments that are no JSON", asyncio.run(inspect_realtime_function_call(event, options())).kind
    try:
        inspect_tool_use_sync(tool_call(HARMLESS), options(token="nobody"))
    except ClavenarTransportError as error:
        yield "a wrong token", outcome(error)
    limited = options(token=os.environ["LIMITED"])
    kinds = [inspect_tool_use_sync(tool_call(HARMLESS), limited).kind for _ in range(2)]
    yield "over the limit", kinds


class Flaky(BaseHTTPRequestHandler):
    """Loses the first answer of each request on its way back."""

    seen = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        request = urllib.request.Request(f"{ENDPOINT}{self.path}", body)
        for name in ("authorization", "content-type", "x-clavenar-decision-contract", "x-clavenar-idempotency-id"):
            request.add_header(name, self.headers[name])
        answer = urllib.request.urlopen(request, timeout=30)
        text = answer.read()
        tries = self.seen.setdefault(self.headers["x-clavenar-idempotency-id"], [])
        tries.append(answer.status)
        status = 503 if len(tries) == 1 else answer.status
        self.send_response(status)
        for name in ("content-type", "x-clavenar-correlation-id"):
            self.send_header(name, answer.headers[name])
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def retried():
    flaky = ThreadingHTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=flaky.serve_forever, daemon=True).start()
    there = options(endpoint=f"http://127.0.0.1:{flaky.server_port}")
    for name, call in (("harmless", HARMLESS), ("payment", payment())):
        yield f"a lost answer, {name}", inspect_tool_use_sync(tool_call(call), there).kind
    yield "tries", sorted(Flaky.seen.values())
    flaky.shutdown()


def main():
    results = {}
    for steps in (direct(), wrapped(), resolved(), retried()):
        for name, result in steps:
            results[name] = result
    print(json.dumps(results))


started = time.monotonic()
main()
print(f"{time.monotonic() - started:.1f} s", file=sys.stderr)
