#!/usr/bin/env python3
"""Makes the same calls to the fixture directly and through a proxy, and compares every message byte for byte.

The suites look at little of a result; this looks at all of it. The published Python client calls every tool, prompt and
resource in both eras, and a bare HTTP client plays sessions of each older revision. Compared are status, media type and
the exact text of every message that the client got, and what the client made of it. Prints a table and writes
`report.json`; exit code 1 on any difference. See README.md for examples.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import re
import shutil
import sys
import warnings

import peers

if __name__ == "__main__":
    peers.inside_tools()

import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import listen
from mcp.shared.exceptions import MCPDeprecationWarning

# What later revisions removed is called here on purpose.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)

MODERN = "2026-07-28"
WITH_SESSIONS = ["2025-03-26", "2025-06-18", "2025-11-25"]
STEP = 30
"""Seconds that one step may take."""

SHOWN = 20
"""Differences printed for each part; the report has all."""

ARGUMENTS = {
    "test_sampling": {"prompt": "What is it?"},
    "test_elicitation": {"message": "Who are you?"},
    "json_schema_2020_12_tool": {"name": "Ada", "contactMethod": "email", "email": "ada@example.org", "address": {}},
    "test_header_argument": {"region": "Genève"},
    "test_awkward_values": {"note": "\u0000 \u2028 e\u0301 \\u0041 \U0001f9ff " + "x" * 5000},
    "test_prompt_with_arguments": {"arg1": "one", "arg2": "zwei ä"},
    "test_prompt_with_embedded_resource": {"resourceUri": "test://example-resource"},
}
"""Of tools and prompts; what is not here has none."""


class Tape(httpx2.AsyncBaseTransport):
    """Sends requests and keeps what comes back, under the name of the step that is under way."""

    def __init__(self):
        self.inner = httpx2.AsyncHTTPTransport()
        self.step = "connect"
        self.exchanges = []

    async def handle_async_request(self, request):
        response = await self.inner.handle_async_request(request)
        kept = Exchange(self.step, request, response)
        self.exchanges.append(kept)
        response.stream = Tee(response.stream, kept)
        return response

    async def aclose(self):
        await self.inner.aclose()


class Exchange:
    def __init__(self, step, request, response):
        self.step = step
        self.verb = request.method
        self.status = response.status_code
        self.type = response.headers.get("content-type", "").split(";")[0]
        self.body = b""

    @property
    def media(self):
        """The type of a body that is not there says nothing."""
        return self.type if self.body else ""

    def seen(self):
        """What must be the same on both sides. Event ids are the server's own count, so only their being there counts;
        the client numbers its subscriptions through the whole program."""
        body = re.sub(r'"listen-\d+"', '"listen"', self.body.decode())
        if self.media != "text/event-stream":
            return [self.verb, self.status, self.media, body]
        found = events(body)
        return [self.verb, self.status, self.media, *(spoken(found) if self.verb == "GET" else found)]


class Tee(httpx2.AsyncByteStream):
    def __init__(self, stream, kept):
        self.stream = stream
        self.kept = kept

    async def __aiter__(self):
        async for piece in self.stream:
            self.kept.body += piece
            yield piece

    async def aclose(self):
        await self.stream.aclose()


def events(body):
    found = []
    for block in body.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        fields = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                fields[name] = fields[name] + "\n" + value[1:] if name in fields else value.removeprefix(" ")
        if fields:
            found.append([fields.get("event", "message"), "id" in fields, fields.get("retry"), fields.get("data")])
    return found


def spoken(found):
    """Events with words. A stream that is taken up again begins with an empty one only if the answer is not there yet, and
    that is a matter of moments."""
    return [event for event in found if event[-1]]


class Side:
    """One client in one era at one address."""

    def __init__(self, url, token, mode):
        self.url = url
        self.token = token
        self.mode = mode
        self.tape = Tape()
        self.outcomes = {}
        self.heard = []

    async def go(self):
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        async with httpx2.AsyncClient(headers=headers, timeout=STEP, transport=self.tape) as http:
            client = Client(
                streamable_http_client(self.url, http_client=http),
                mode=self.mode,
                cache=None,
                log_level="info" if self.mode == MODERN else None,
                read_timeout_seconds=STEP,
                sampling_callback=self.sample,
                elicitation_callback=self.elicit,
                list_roots_callback=self.roots,
                logging_callback=self.logged,
            )
            try:
                async with client:
                    self.outcomes["connect"] = client.protocol_version
                    await self.steps(client)
            except Exception as error:
                self.outcomes["connect"] = self.outcomes.get("connect") or said(error)
        return self

    async def steps(self, client):
        await self.take("tools/list", client.list_tools())
        await self.take("prompts/list", client.list_prompts())
        await self.take("resources/list", client.list_resources())
        await self.take("resources/templates/list", client.list_resource_templates())
        for name in await names("tools"):
            progress = self.progress if name == "test_tool_with_progress" else None
            await self.take(name, client.call_tool(name, ARGUMENTS.get(name, {}), progress_callback=progress))
        for name in await names("prompts"):
            await self.take(name, client.get_prompt(name, ARGUMENTS.get(name, {})))
        for uri in [*await names("resources"), "test://template/a%20b/data"]:
            await self.take(uri, client.read_resource(uri))
        await self.take("unknown resource", client.read_resource("test://none"))
        await self.take("unknown tool", client.call_tool("no_such_tool", {}))
        await self.take("unknown prompt", client.get_prompt("no_such_prompt"))
        await self.take("missing argument", client.call_tool("test_sampling", {}))
        reference = types.PromptReference(name="test_prompt_with_arguments")
        await self.take("completion", client.complete(reference, {"name": "arg1", "value": "par"}))
        if self.mode == MODERN:
            await self.take("listen", self.listening(client))
        else:
            await self.take("ping", client.send_ping())
            await self.take("level", client.set_logging_level("error"))
            await self.take("quiet", client.call_tool("test_tool_with_logging", {}))
            await self.take("subscribe", client.subscribe_resource("test://watched-resource"))
            await self.take("unsubscribe", client.unsubscribe_resource("test://watched-resource"))

    async def take(self, step, doing):
        self.tape.step = step
        self.heard = []
        try:
            async with asyncio.timeout(STEP):
                outcome = said(await doing)
        except Exception as error:
            outcome = said(error)
        self.outcomes[step] = {"outcome": outcome, "heard": self.heard}

    async def listening(self, client):
        async with listen(client.session, tools_list_changed=True, prompts_list_changed=True) as subscription:
            seen = []
            for name in ("test_trigger_tool_change", "test_trigger_prompt_change"):
                await client.call_tool(name, {})
                seen.append(type(await anext(aiter(subscription))).__name__)
            return seen

    async def sample(self, context, params):
        self.heard.append(said(params))
        content = types.TextContent(type="text", text="Tea, café, 茶")
        return types.CreateMessageResult(role="assistant", content=content, model="none", stop_reason="endTurn")

    async def elicit(self, context, params):
        self.heard.append(said(params))
        wanted = params.requested_schema["properties"]
        values = {"string": "Zoë", "boolean": True, "integer": 7, "number": 1.5, "array": []}
        content = {name: schema.get("default", values[schema["type"]]) for name, schema in wanted.items()}
        return types.ElicitResult(action="accept", content=content)

    async def roots(self, context):
        self.heard.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri="file:///somewhere/else", name="Else")])

    async def logged(self, params):
        self.heard.append(said(params))

    async def progress(self, done, total, message):
        self.heard.append([done, total, message])

    def seen(self):
        """By step: what came over the wire and what the client made of it. A session's stream is a step of its own."""
        steps = {step: {"client": outcome, "wire": []} for step, outcome in self.outcomes.items()}
        for exchange in self.tape.exchanges:
            step = "stream" if exchange.verb == "GET" else exchange.step
            steps.setdefault(step, {"client": None, "wire": []})["wire"].append(exchange.seen())
        return steps


def said(value):
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {getattr(value, 'error', value)}"
    return value.model_dump(mode="json", by_alias=True) if hasattr(value, "model_dump") else value


CATALOGUE = {}


async def names(kind):
    """Of what the fixture has, asked of itself: a proxy that hides something must not go unnoticed."""
    return CATALOGUE[kind]


async def learn(url):
    async with Client(url, mode="legacy") as client:
        CATALOGUE["tools"] = [tool.name for tool in (await client.list_tools()).tools]
        CATALOGUE["prompts"] = [prompt.name for prompt in (await client.list_prompts()).prompts]
        CATALOGUE["resources"] = [str(resource.uri) for resource in (await client.list_resources()).resources]


class Bare:
    """Plays the protocol by hand, where the client would not go."""

    def __init__(self, url, token):
        self.url = url
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self.steps = {}

    async def go(self, version):
        async with httpx2.AsyncClient(timeout=STEP) as self.http:
            await (self.stateless() if version == MODERN else self.session(version))
        return self

    async def session(self, version):
        hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "bare", "version": "1"}}
        answer = await self.send("initialize", rpc("initialize", hello, "first"))
        session = answer.headers.get("mcp-session-id")
        own = {"mcp-session-id": session or "", "mcp-protocol-version": version}
        await self.send("initialized", {"jsonrpc": "2.0", "method": "notifications/initialized"}, own)
        await self.send("list", rpc("tools/list", {}, 2), own)
        await self.send("call", rpc("tools/call", {"name": "test_simple_text"}, 9007199254740991), own)
        await self.send("progress", rpc("tools/call", progress("test_tool_with_progress"), "p"), own)
        dropped = await self.send("reconnection", rpc("tools/call", {"name": "test_reconnection"}, 4), own)
        last = [line[4:] for line in dropped.text.splitlines() if line.startswith("id: ")]
        if version == WITH_SESSIONS[-1] and last:
            await asyncio.sleep(0.5)
            await self.resume(last[-1], own)
        await self.send("unknown method", rpc("nothing/here", {}, 5), own)
        await self.send("bad version", rpc("ping", {}, 6), {**own, "mcp-protocol-version": "1999-01-01"}, same="status")
        await self.send("batch", [rpc("ping", {}, 7)], own, same="status")
        await self.send("no session", rpc("tools/list", {}, 8), same="status")
        await self.send("unknown session", rpc("tools/list", {}, 9), {**own, "mcp-session-id": "x"}, same="status")
        await self.send("not JSON", b"{", own, same="status")
        await self.verb("DELETE", own)
        await self.send("after the end", rpc("tools/list", {}, 10), own, same="status")

    async def stateless(self):
        own = {"mcp-protocol-version": MODERN}
        for verb in ("GET", "DELETE"):
            await self.verb(verb, own)
        call = modern("tools/call", {"name": "test_simple_text", "arguments": {}}, 1)
        named = {**own, "mcp-method": "tools/call", "mcp-name": "test_simple_text"}
        await self.send("call", call, named)
        await self.send("no arguments", modern("tools/call", {"name": "test_simple_text"}, 2), named)
        await self.send("wrong name", call, {**named, "mcp-name": "test_image_content"}, same="code")
        await self.send("wrong method", call, {**named, "mcp-method": "tools/list"}, same="code")
        await self.send("no method", call, own, same="code")
        await self.send("wrong version", call, {**named, "mcp-protocol-version": "2025-11-25"}, same="status")
        await self.send(
            "no version in the body", rpc("tools/call", call["params"] | {"_meta": {}}, 3), named, same="code"
        )
        await self.send("notification", {"jsonrpc": "2.0", "method": "notifications/initialized"}, own)

    async def send(self, step, message, headers=None, same="text"):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        accept = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        answer = await self.http.post(self.url, content=body, headers={**self.headers, **accept, **(headers or {})})
        self.keep(step, answer, same)
        return answer

    async def verb(self, verb, headers):
        accept = {"accept": "application/json, text/event-stream"}
        self.keep(
            verb, await self.http.request(verb, self.url, headers={**self.headers, **accept, **headers}), "status"
        )

    async def resume(self, last, headers):
        """Takes a stream up again and leaves it with the answer."""
        more = {"accept": "text/event-stream", "last-event-id": last}
        async with self.http.stream("GET", self.url, headers={**self.headers, **headers, **more}) as answer:
            lines = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    async for line in answer.aiter_lines():
                        lines.append(line)
                        if '"result"' in line:
                            break
        self.steps["resumed"] = {"client": None, "wire": [[answer.status_code, *spoken(events("\n".join(lines)))]]}

    def keep(self, step, answer, same):
        """What must be the same: the whole text; where a refusal may be worded freely, status and error code; or, where
        the protocol leaves the code open too, the status alone."""
        media = answer.headers.get("content-type", "").split(";")[0] if answer.content else ""
        opened = "mcp-session-id" in answer.headers and step == "initialize"
        whole = events if media == "text/event-stream" else str
        body = {"text": lambda: [media, whole(answer.text)], "code": lambda: [code_of(answer)], "status": list}[same]()
        self.steps[step] = {"client": None, "wire": [[answer.status_code, opened, *body]]}

    def seen(self):
        return self.steps


def code_of(answer):
    try:
        return answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None


def rpc(method, params, id):
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def progress(tool):
    return {"name": tool, "arguments": {}, "_meta": {"progressToken": "token ü", "example.org/other": [1, None]}}


def modern(method, params, id):
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "bare", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return rpc(method, {**params, "_meta": meta}, id)


def compare(direct, through):
    """The steps that differ, with the first thing that does."""
    rows = []
    for step in [*direct, *(step for step in through if step not in direct)]:
        one, other = direct.get(step), through.get(step)
        if one == other:
            continue
        for kind in ("client", "wire"):
            a, b = ((side or {}).get(kind) for side in (one, other))
            if a != b:
                rows.append({"step": step, "kind": kind, "direct": a, "through": b})
    return rows


def first_difference(row):
    one, other = (json.dumps(row[side], ensure_ascii=False) for side in ("direct", "through"))
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    begin = max(0, at - 40)
    return f"…{one[begin : at + 60]} -> …{other[begin : at + 60]}"


async def measure(direct, through, token, only):
    await learn(direct)
    report = {"parts": {}, "same": True}
    # Version by version, each side for itself.
    plans = {f"client, {mode}": (lambda url, mode=mode: Side(url, token, mode).go()) for mode in ("legacy", MODERN)}
    plans |= {f"by hand, {one}": (lambda url, one=one: Bare(url, token).go(one)) for one in [*WITH_SESSIONS, MODERN]}
    plans["client, auto"] = lambda url: negotiated(url, token)
    for name, plan in plans.items():
        if only and only not in name:
            continue
        one, other = (await plan(direct)).seen(), (await plan(through)).seen()
        rows = compare(one, other)
        messages = sum(len(step["wire"]) for step in one.values())
        report["parts"][name] = {"steps": len(one), "exchanges": messages, "differences": rows, "direct": one}
        report["same"] = report["same"] and not rows
        different = len({row["step"] for row in rows})
        print(f"{name:24} {len(one):3} steps, {messages:3} exchanges: {different} differ")
        for row in rows[:SHOWN]:
            print(f"    {row['step']} ({row['kind']}): {first_difference(row)[:240]}")
        if len(rows) > SHOWN:
            print(f"    and {len(rows) - SHOWN} more")
    return report


class Negotiated:
    def __init__(self, version):
        self.version = version

    def seen(self):
        return {"version": {"client": self.version, "wire": []}}


async def negotiated(url, token):
    """What a client that speaks both eras settles on."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=STEP) as http:
        try:
            async with Client(streamable_http_client(url, http_client=http), mode="auto") as client:
                return Negotiated(client.protocol_version)
        except Exception as error:
            return Negotiated(said(error))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--direct", metavar="URL", help="a running fixture (default: started here)")
    parser.add_argument("--through", metavar="URL", help="a proxy in front of a fixture that runs already")
    parser.add_argument("--binary", type=pathlib.Path, help="Portcullis to start in front of the fixture")
    parser.add_argument("--config", type=pathlib.Path, help="its configuration (default: its own)")
    parser.add_argument("--data", type=pathlib.Path, help="its data folder (default: one in the folder for results)")
    parser.add_argument("--token", help="bearer token for every request")
    parser.add_argument("--only", help="only the parts whose name holds this, for instance legacy")
    parser.add_argument(
        "--out", type=pathlib.Path, default=peers.OUT / "differential", help="folder for results and logs"
    )
    chosen = parser.parse_args()
    out = chosen.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        direct = chosen.direct or stack.enter_context(peers.fixture(out))
        through = chosen.through
        if chosen.binary:
            through = stack.enter_context(peers.portcullis(chosen.binary.resolve(), direct, out, chosen.config, chosen.data))
        # Without a proxy the fixture has to be like itself, or nothing could be learned with one.
        report = asyncio.run(measure(direct, through or direct, chosen.token, chosen.only))
    (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    print(f"{'no difference' if report['same'] else 'NOT THE SAME'}; details in {out / 'report.json'}")
    return 0 if report["same"] else 1


if __name__ == "__main__":
    sys.exit(main())
