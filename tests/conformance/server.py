"""An MCP server with everything that the conformance suites ask for, over Streamable HTTP, in both eras.

Usage: server.py PORT
Listens on 127.0.0.1 (port 0 picks a free one) and prints its address as one JSON line when it is ready.

What it answers depends on the request alone: no clock, no random values. Two runs can be compared byte for byte.
"""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import socket
import struct
import sys
import warnings
import wave
import zlib

import mcp_types as types
import uvicorn
from mcp import MCPError
from mcp.server.caching import CACHEABLE_METHODS, CacheHint
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

# The older revisions are half of what this server is for.
warnings.filterwarnings("ignore", category=MCPDeprecationWarning)

RESOURCE_NOT_FOUND = -32002
"""What revisions with sessions say of an unknown resource; later ones say that the parameters are invalid."""

STATE_KEY = b"a fixture has no secrets"
PAUSE = 0.05
"""Seconds between two messages about one call."""


# Content


def png(red, green, blue):
    """One pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes([0, red, green, blue]), 9)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(file).decode()


def wav():
    """Eight samples of silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(8000)
        writer.writeframes(b"\x80" * 8)
    return base64.b64encode(file.getvalue()).decode()


def text(words):
    return types.TextContent(type="text", text=words)


def image():
    return types.ImageContent(type="image", data=png(255, 0, 0), mime_type="image/png")


def embedded(uri, mime_type, words):
    resource = types.TextResourceContents(uri=uri, mime_type=mime_type, text=words)
    return types.EmbeddedResource(type="resource", resource=resource)


def said(*content, **rest):
    return types.CallToolResult(content=[text(one) if isinstance(one, str) else one for one in content], **rest)


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


# Questions to the client


def elicitation(message, properties, required=None):
    schema = {"type": "object", "properties": properties}
    if required is not None:
        schema["required"] = required
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(words, max_tokens):
    message = types.SamplingMessage(role="user", content=text(words))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def roots():
    return types.ListRootsRequest()


ANSWERS = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}
NEEDED = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}


class Unanswered(Exception):
    """The client has to answer first; `result` says what."""

    def __init__(self, result):
        super().__init__("input required")
        self.result = result


class Call:
    """One request of a client, whatever its era."""

    def __init__(self, ctx, params):
        self.ctx = ctx
        self.params = params
        self.arguments = getattr(params, "arguments", None) or {}
        self.modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS

    def may_ask(self, method):
        capabilities = self.ctx.session.client_capabilities
        return capabilities is not None and getattr(capabilities, NEEDED[method]) is not None

    async def ask(self, questions, state=None):
        """Answers by the names of the questions. Revisions with sessions ask on the stream of the call; later ones
        end the call with the questions and get it again with the answers."""
        if not self.modern:
            return {name: await self.send(question) for name, question in questions.items()}
        given = self.params.input_responses or {}
        answers = {name: given.get(name) for name in questions}
        fits = all(isinstance(answers[name], ANSWERS[question.method]) for name, question in questions.items())
        if not fits or (state is not None and self.state() != state):
            sealed = None if state is None else seal(state)
            raise Unanswered(types.InputRequiredResult(input_requests=questions, request_state=sealed))
        return answers

    async def send(self, question):
        if not self.may_ask(question.method):
            raise Failed(f"The client does not support {NEEDED[question.method]}")
        related = ServerMessageMetadata(related_request_id=self.ctx.request_id)
        return await self.ctx.session.send_request(question, ANSWERS[question.method], metadata=related)

    def state(self):
        """What an earlier answer to this call gave to the client; none if the client has nothing yet."""
        token = self.params.request_state if self.modern else None
        return None if token is None else unseal(token)

    async def log(self, words):
        level = LEVELS.get(session_of(self.ctx), "debug")
        if SEVERITY.index("info") >= SEVERITY.index(level):
            await self.ctx.session.send_log_message("info", words, "fixture", related_request_id=self.ctx.request_id)


class Failed(Exception):
    """A tool says that it failed."""


def seal(state):
    body = base64.urlsafe_b64encode(compact(state).encode()).decode()
    return f"{body}.{hmac.digest(STATE_KEY, body.encode(), 'sha256').hex()}"


def unseal(token):
    body, _, tag = token.rpartition(".")
    if not hmac.compare_digest(hmac.digest(STATE_KEY, body.encode(), "sha256").hex().encode(), tag.encode()):
        raise MCPError(types.INVALID_PARAMS, "this requestState was not made here")
    return json.loads(base64.urlsafe_b64decode(body))


def session_of(ctx):
    return ctx.request.headers.get("mcp-session-id", "") if ctx.request is not None else ""


# Tools

TOOLS = {}
NO_ARGUMENTS = {"type": "object", "properties": {}}
CONTACT = {"name": {"type": "string"}}


def arguments(*names):
    return {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": list(names)}


def tool(description, schema=NO_ARGUMENTS, **rest):
    def add(function):
        listed = types.Tool(name=function.__name__, description=description, input_schema=schema, **rest)
        TOOLS[listed.name] = (listed, function)
        return function

    return add


@tool("Says one sentence.")
async def test_simple_text(call):
    return said("This is a simple text response for testing.")


@tool("Shows a picture of one pixel.")
async def test_image_content(call):
    return said(image())


@tool("Plays a moment of silence.")
async def test_audio_content(call):
    return said(types.AudioContent(type="audio", data=wav(), mime_type="audio/wav"))


@tool("Hands over a resource.")
async def test_embedded_resource(call):
    return said(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@tool("Answers with text, a picture and a resource.")
async def test_multiple_content_types(call):
    document = compact({"test": "data", "value": 123})
    resource = embedded("test://mixed-content-resource", "application/json", document)
    return said("Multiple content types test:", image(), resource)


@tool("Fails.")
async def test_error_handling(call):
    raise Failed("This tool intentionally returns an error for testing")


async def three_words(call):
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await call.log(words)
        await asyncio.sleep(PAUSE)
    return said("The log has three more lines")


@tool("Writes three lines to the log.")
async def test_tool_with_logging(call):
    return await three_words(call)


@tool("Writes three lines to the log of whoever asked for it.")
async def test_logging_tool(call):
    return await three_words(call)


@tool("Reports how far it is.")
async def test_tool_with_progress(call):
    for done in (0, 50, 100):
        await call.ctx.session.report_progress(done, 100, f"{done} of 100")
        await asyncio.sleep(PAUSE)
    return said("All done")


@tool("Closes its stream before it answers.")
async def test_reconnection(call):
    if call.ctx.close_sse_stream is not None:
        await call.ctx.close_sse_stream()
        await asyncio.sleep(2 * PAUSE)
    return said("The answer came on another stream")


@tool("Asks the model of the client.", arguments("prompt"))
async def test_sampling(call):
    answers = await call.ask({"answer": sampling(call.arguments["prompt"], 100)})
    return said(f"LLM response: {words_of(answers['answer'])}")


@tool("Asks the person at the client.", arguments("message"))
async def test_elicitation(call):
    properties = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    answers = await call.ask({"answer": elicitation(call.arguments["message"], properties, ["username", "email"])})
    return said(f"User response: {outcome(answers['answer'])}")


@tool("Asks with a default for every field.")
async def test_elicitation_sep1034_defaults(call):
    properties = {
        "name": {"type": "string", "description": "Full name", "default": "John Doe"},
        "age": {"type": "integer", "description": "Age in years", "default": 30},
        "score": {"type": "number", "description": "Points", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Checked by a person", "default": True},
    }
    answers = await call.ask({"answer": elicitation("Please look at the defaults", properties, [])})
    return said(f"Elicitation completed: {outcome(answers['answer'])}")


@tool("Asks with every kind of enumeration.")
async def test_elicitation_sep1330_enums(call):
    def titled(kind, *pairs):
        return [{"const": f"value{at}", "title": f"{word} {kind}"} for at, word in enumerate(pairs, 1)]

    options = ["option1", "option2", "option3"]
    names = ["Option One", "Option Two", "Option Three"]
    properties = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled("Option", "First", "Second", "Third")},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": names},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice", "First", "Second", "Third")}},
    }
    answers = await call.ask({"answer": elicitation("Please choose", properties, [])})
    return said(f"Elicitation completed: {outcome(answers['answer'])}")


@tool(
    "Has a schema with the vocabulary of JSON Schema 2020-12.",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(call):
    return said(f"Called with {compact(call.arguments)}")


@tool(
    "Has an argument that travels in a header, too.",
    {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}, "required": ["region"]},
)
async def test_header_argument(call):
    return said(f"Region {call.arguments['region']}")


@tool("Needs a client that supports sampling.")
async def test_missing_capability(call):
    if not call.may_ask("sampling/createMessage"):
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "the client must support sampling", data)
    return said("The client supports sampling")


@tool("Asks while its answer is on the way.")
async def test_streaming_elicitation(call):
    answers = await call.ask({"answer": elicitation("Go on?", {"ok": {"type": "boolean"}}, ["ok"])})
    return said(f"Elicitation completed: {outcome(answers['answer'])}")


# The lists stay as they are, so that one run cannot disturb the next.
@tool("Says that the list of tools changed.")
async def test_trigger_tool_change(call):
    if call.modern:
        await BUS.publish(ToolsListChanged())
    else:
        await call.ctx.session.send_tool_list_changed()
    return said("The list of tools changed")


@tool("Says that the list of prompts changed.")
async def test_trigger_prompt_change(call):
    if call.modern:
        await BUS.publish(PromptsListChanged())
    else:
        await call.ctx.session.send_prompt_list_changed()
    return said("The list of prompts changed")


@tool("Asks for a name.")
async def test_input_required_result_elicitation(call):
    answers = await call.ask({"user_name": elicitation("What is your name?", CONTACT, ["name"])})
    return said(f"Hello, {field(answers['user_name'], 'name')}!")


@tool("Asks a model for a capital.")
async def test_input_required_result_sampling(call):
    answers = await call.ask({"capital_question": sampling("What is the capital of France?", 100)})
    return said(words_of(answers["capital_question"]))


@tool("Asks for the client's folders.")
async def test_input_required_result_list_roots(call):
    answers = await call.ask({"client_roots": roots()})
    return said(f"Roots: {folders(answers['client_roots'])}")


CONFIRM = elicitation("Please confirm", {"ok": {"type": "boolean"}}, ["ok"])


@tool("Asks, and wants its state back.")
async def test_input_required_result_request_state(call):
    await call.ask({"confirm": CONFIRM}, {"step": "confirm"})
    return said("state-ok")


@tool("Asks, and wants its state back unchanged.")
async def test_input_required_result_tampered_state(call):
    await call.ask({"confirm": CONFIRM}, {"step": "tampered"})
    return said("The state is what it was")


@tool("Asks three things at once.")
async def test_input_required_result_multiple_inputs(call):
    questions = {
        "user_name": elicitation("What is your name?", CONTACT, ["name"]),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": roots(),
    }
    answers = await call.ask(questions, {"step": "all"})
    name, greeting = field(answers["user_name"], "name"), words_of(answers["greeting"])
    return said(f"{greeting} {name}, roots: {folders(answers['client_roots'])}")


@tool("Asks twice, one after the other.")
async def test_input_required_result_multi_round(call):
    first = {"step1": elicitation("Step 1: What is your name?", CONTACT, ["name"])}
    color = {"color": {"type": "string"}}
    second = {"step2": elicitation("Step 2: What is your favorite color?", color, ["color"])}
    known = call.state()
    if isinstance(known, dict) and known.get("step") == 2:
        name = known["name"]
    else:
        name = field((await call.ask(first, {"step": 1}))["step1"], "name")
    answers = await call.ask(second, {"step": 2, "name": name})
    return said(f"{name} likes {field(answers['step2'], 'color')}")


@tool("Asks only what the client can answer.")
async def test_input_required_result_capabilities(call):
    questions = {
        "name": elicitation("What is your name?", CONTACT, ["name"]),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": roots(),
    }
    able = {name: question for name, question in questions.items() if call.may_ask(question.method)}
    if not able:
        raise Failed("The client can answer nothing")
    await call.ask(able)
    return said(f"Asked for {', '.join(able)}")


# Beyond the suites: results on which a careless intermediary leaves traces.
NUMBERS = {"type": "object", "properties": {"largest": {"type": "integer"}}, "required": ["largest"]}


@tool(
    "Answers with values that are easily changed on the way.",
    {"type": "object", "properties": {"note": {"type": "string"}}},
    title="Awkward values",
    output_schema=NUMBERS,
    annotations=types.ToolAnnotations(title="Awkward", read_only_hint=True, open_world_hint=False),
    _meta={"example.org/kept": {"deep": [1, {"deeper": None}]}},
)
async def test_awkward_values(call):
    structured = {"largest": 9223372036854775807, "small": 1e-7, "one": 1.0, "none": None, "empty": {}, "": "no name"}
    words = 'tab\t, line\r\n, quote ", bell \x07, nothing \x00, separator \u2028, \u00e9 e\u0301, \U0001f9ff, </script>'
    return said(words, call.arguments.get("note", ""), structured_content=structured, _meta={"example.org/x": [0.5]})


@tool("Answers with 200,000 letters.")
async def test_large_text(call):
    return said("".join(hashlib.sha256(bytes([at % 256, at // 256])).hexdigest() for at in range(3125)))


def words_of(answer):
    content = answer.content[0] if isinstance(answer.content, list) else answer.content
    return getattr(content, "text", content.type)


def field(answer, name):
    return (answer.content or {}).get(name, f"({answer.action})")


def folders(answer):
    return ", ".join(str(root.uri) for root in answer.roots)


def outcome(answer):
    return f"action={answer.action}, content={compact(answer.content)}"


async def list_tools(ctx, params):
    return types.ListToolsResult(tools=[listed for listed, _ in TOOLS.values()])


async def call_tool(ctx, params):
    found = TOOLS.get(params.name)
    if found is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    listed, function = found
    missing = [name for name in listed.input_schema.get("required", []) if name not in (params.arguments or {})]
    if missing:
        return said(f"Missing: {', '.join(missing)}", is_error=True)
    try:
        return await function(Call(ctx, params))
    except Unanswered as unanswered:
        return unanswered.result
    except Failed as failed:
        return said(str(failed), is_error=True)


# Prompts

PROMPTS = {}


def prompt(description, *names):
    def add(function):
        wanted = [types.PromptArgument(name=name, description=f"Argument {name}", required=True) for name in names]
        listed = types.Prompt(name=function.__name__, description=description, arguments=wanted)
        PROMPTS[listed.name] = (listed, function)
        return function

    return add


def messages(*content):
    return types.GetPromptResult(
        messages=[
            types.PromptMessage(role="user", content=text(one) if isinstance(one, str) else one) for one in content
        ]
    )


@prompt("One sentence.")
async def test_simple_prompt(call):
    return messages("This is a simple prompt for testing.")


@prompt("A sentence with two arguments.", "arg1", "arg2")
async def test_prompt_with_arguments(call):
    first, second = call.arguments["arg1"], call.arguments["arg2"]
    return messages(f"Prompt with arguments: arg1='{first}', arg2='{second}'")


@prompt("A resource and a sentence about it.", "resourceUri")
async def test_prompt_with_embedded_resource(call):
    resource = embedded(call.arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return messages(resource, "Please process the embedded resource above.")


@prompt("A picture and a sentence about it.")
async def test_prompt_with_image(call):
    return messages(image(), "Please analyze the image above.")


@prompt("Asks what it is to be about.")
async def test_input_required_result_prompt(call):
    wanted = {"context": {"type": "string"}}
    answers = await call.ask({"user_context": elicitation("What context should the prompt use?", wanted, ["context"])})
    return messages(f"The context is: {field(answers['user_context'], 'context')}")


async def list_prompts(ctx, params):
    return types.ListPromptsResult(prompts=[listed for listed, _ in PROMPTS.values()])


async def get_prompt(ctx, params):
    found = PROMPTS.get(params.name)
    if found is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    listed, function = found
    missing = [one.name for one in listed.arguments if one.name not in (params.arguments or {})]
    if missing:
        raise MCPError(types.INVALID_PARAMS, f"Missing: {', '.join(missing)}")
    try:
        return await function(Call(ctx, params))
    except Unanswered as unanswered:
        return unanswered.result
    except Failed as failed:
        raise MCPError(types.INTERNAL_ERROR, str(failed)) from failed


async def complete(ctx, params):
    known = ["testing", "testimony", "paris", "park", "party"]
    fits = [word for word in known if word.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=fits, total=len(fits), has_more=False))


# Resources

TEMPLATE = "test://template/{id}/data"
RESOURCES = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", base64.b64decode(png(0, 0, 255))),
    "test://watched-resource": ("text/plain", "Something to watch."),
}


def content_of(uri):
    found = RESOURCES.get(uri)
    if found is not None:
        mime_type, body = found
        if isinstance(body, bytes):
            return types.BlobResourceContents(uri=uri, mime_type=mime_type, blob=base64.b64encode(body).decode())
        return types.TextResourceContents(uri=uri, mime_type=mime_type, text=body)
    before, after = TEMPLATE.split("{id}")
    name = uri[len(before) : -len(after)]
    if uri != f"{before}{name}{after}" or not name or "/" in name:
        return None
    body = compact({"id": name, "templateTest": True, "data": f"Data for ID: {name}"})
    return types.TextResourceContents(uri=uri, mime_type="application/json", text=body)


async def list_resources(ctx, params):
    listed = [
        types.Resource(uri=uri, name=uri.removeprefix("test://"), mime_type=mime_type)
        for uri, (mime_type, _) in RESOURCES.items()
    ]
    return types.ListResourcesResult(resources=listed)


async def list_resource_templates(ctx, params):
    template = types.ResourceTemplate(uri_template=TEMPLATE, name="data", mime_type="application/json")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx, params):
    content = content_of(str(params.uri))
    if content is None:
        code = types.INVALID_PARAMS if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else RESOURCE_NOT_FOUND
        raise MCPError(code, "Resource not found", {"uri": str(params.uri)})
    return types.ReadResourceResult(contents=[content])


async def accept(ctx, params):
    """Subscriptions are for the asking: no resource changes here."""
    return types.EmptyResult()


# The rest of the protocol

SEVERITY = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
LEVELS = {}
"""Wanted log levels by session."""

BUS = InMemorySubscriptionBus()


async def set_level(ctx, params):
    LEVELS[session_of(ctx)] = params.level
    return types.EmptyResult()


class Events(EventStore):
    """All events of one server, in their order: ids never repeat, and each belongs to one stream."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        if not (last_event_id.isascii() and last_event_id.isdigit() and 0 < int(last_event_id) <= len(self.events)):
            return None
        stream = self.events[int(last_event_id) - 1][0]
        for number, (owner, message) in enumerate(self.events[int(last_event_id) :], int(last_event_id) + 1):
            if owner == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def build():
    return Server(
        "portcullis-fixture",
        version="1",
        instructions="A server to test with.",
        cache_hints={method: CacheHint(ttl_ms=1000, scope="public") for method in CACHEABLE_METHODS},
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_resource_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=accept,
        on_unsubscribe_resource=accept,
        on_subscriptions_listen=ListenHandler(BUS),
        on_completion=complete,
        on_set_logging_level=set_level,
    )


class Announced(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = sockets[0].getsockname()[1]
        print(json.dumps({"url": f"http://127.0.0.1:{port}/mcp"}), flush=True)


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    # The host switches the check of Host and Origin on.
    app = build().streamable_http_app(event_store=Events(), retry_interval=100, host="127.0.0.1")
    # A connection is never closed for being idle: on a slow machine the suites would send into the closing.
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, timeout_keep_alive=600)
    Announced(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
