"""A small MCP server over standard streams for the tests: every tool is one behaviour.

With RECORD in the environment, every line received is appended to that file, byte for byte. With ERA=stateless it speaks
2026-07-28 and nothing else; REVISION is what it answers to initialize, if not what was asked for.
"""
import json
import os
import subprocess
import sys
import time

stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
STATELESS = os.environ.get("ERA") == "stateless"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
greeting = {}
held = []
listening = []


def write(line):
    stdout.write(line if isinstance(line, bytes) else line.encode())
    stdout.write(b"\n")
    stdout.flush()


def answer(request, result):
    if STATELESS:
        result = {"resultType": "complete", **result}
    write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}))


def text(request, value, **more):
    answer(request, {"content": [{"type": "text", "text": value}], **more})


def refuse(request, code, message):
    write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}))


def notify(method, **params):
    write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))


def read():
    line = stdin.readline()
    if not line:
        return None
    if "RECORD" in os.environ:
        with open(os.environ["RECORD"], "ab") as record:
            record.write(line)
    return json.loads(line)


def call(request):
    name = request["params"]["name"]
    arguments = request["params"].get("arguments", {})
    token = request["params"].get("_meta", {}).get("progressToken")
    if name == "echo":
        text(request, arguments.get("text", ""))
    elif name == "raw":
        # The line is given by the caller: written as it is, after the id was put in.
        write(arguments["line"].replace("ID", json.dumps(request["id"])))
    elif name == "environment":
        text(request, json.dumps(dict(os.environ)))
    elif name == "progress":
        for step in (1, 2):
            params = {"progressToken": token, "progress": step}
            write(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
        text(request, "done")
    elif name == "burst":
        # At once, its answer included.
        step = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}
        stdout.write(b"".join(json.dumps(step).encode() + b"\n" for _ in range(arguments["count"])))
        text(request, "done")
    elif name == "ask":
        # Given in pieces, so that it is not the call that is refused.
        params = {key: "".join(value) for key, value in arguments.items()}
        question = {"jsonrpc": "2.0", "id": "question", "method": "elicitation/create", "params": params}
        write(json.dumps(question))
        reply = read()
        text(request, json.dumps(reply.get("result") or reply["error"]))
    elif name == "tell":
        write(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "told"}}))
        time.sleep(0.05)
        text(request, "done")
    elif name == "later":
        text(request, "done")
        time.sleep(0.1)
        for step in range(1, arguments.get("count", 2) + 1):
            notify("notifications/message", data=step, padding="x" * arguments.get("size", 0))
    elif name == "late":
        time.sleep(0.4)
        text(request, "a SECRET")
    elif name == "die":
        print("dying", file=sys.stderr, flush=True)
        os._exit(3)
    elif name == "later change":
        text(request, "done")
        time.sleep(0.1)
        write(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
    elif name == "change and talk":
        write(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
        for step in range(60):
            write(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": step}}))
        text(request, "done")
    elif name == "change and silence":
        write(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
    elif name == "junk":
        write("this is no message")
        write("[1,2]")
        write("")
        text(request, "done")
    elif name == "malformed":
        write('{"jsonrpc":"2.0","id":%s,"result":{},"result":{}}' % json.dumps(request["id"]))
    elif name == "huge":
        text(request, "x" * arguments["size"])
    elif name == "twice":
        text(request, "one")
        text(request, "two")
    elif name == "other":
        write('{"jsonrpc":"2.0","id":"somebody else","result":{"content":[]}}')
        text(request, "done")
    elif name == "sleep":
        time.sleep(arguments["seconds"])
        text(request, "slept")
    elif name == "silence":
        pass
    elif name == "shout":
        for count in range(2000):
            print("line %d" % count, file=sys.stderr)
        text(request, "done")
    elif name == "spawn":
        child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        text(request, str(child.pid))
    elif name == "pid":
        text(request, str(os.getpid()))
    elif name == "greeting":
        text(request, json.dumps(greeting))
    elif name == "hold":
        held.append(request)
    elif name == "release":
        # The last one first, each with progress before its answer.
        for other in reversed(held):
            token = other["params"].get("_meta", {}).get("progressToken")
            if token is not None:
                notify("notifications/progress", progressToken=token, progress=1)
            text(other, other["params"]["arguments"]["text"])
        held.clear()
        text(request, "done")
    elif name == "question":
        for method in ("sampling/createMessage", "elicitation/create", "roots/list", "ping"):
            write(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": {}}))
        text(request, json.dumps([read() for _ in range(4)]))
    elif name == "change":
        if STATELESS:
            for subscription in listening:
                notify("notifications/tools/list_changed", _meta={SUBSCRIPTION: subscription})
        else:
            notify("notifications/tools/list_changed")
        text(request, "done")
    elif name == "update":
        notify("notifications/resources/updated", uri=arguments["uri"])
        text(request, "done")
    elif name == "deaf":
        text(request, "done")
        time.sleep(600)
    elif name == "flood":
        # One line, a piece at a time: the answer would be larger than this process.
        stdout.write(b'{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"' % json.dumps(request["id"]).encode())
        for _ in range(arguments["mebibytes"]):
            stdout.write(b"x" * 1048576)
        write('"}]}}')
    else:
        text(request, "no such tool", isError=True)


def handle(message):
    method = message.get("method")
    if method == "initialize" and not STATELESS:
        greeting.update(message["params"])
        answer(
            message,
            {
                "protocolVersion": os.environ.get("REVISION", message["params"]["protocolVersion"]),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "stdio-test", "version": "1"},
            },
        )
    elif method == "server/discover" and STATELESS:
        answer(message, {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}})
    elif method == "subscriptions/listen" and STATELESS:
        listening.append(message["id"])
        notify("notifications/subscriptions/acknowledged", notifications={}, _meta={SUBSCRIPTION: message["id"]})
    elif method == "tools/list" and "BROKEN_LIST" in os.environ:
        write("{oops")
    elif method == "tools/list" and "NO_LIST" in os.environ:
        pass
    elif method == "tools/list":
        tool = {"name": "echo", "description": os.environ.get("DESCRIPTION", "says it again"), "inputSchema": {}}
        answer(message, {"tools": [tool]})
    elif method in ("ping", "resources/subscribe", "resources/unsubscribe"):
        answer(message, {})
    elif method == "tools/call":
        call(message)
    elif method is not None and "id" in message:
        refuse(message, -32601, "method not found")


def main():
    while (message := read()) is not None:
        handle(message)


main()
