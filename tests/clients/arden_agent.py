"""Arden's published client against a server: python arden_agent.py BASE, where BASE ends in /arden, with the keys AGENT,
TEST and OPERATOR and the SIGNING_KEY in the environment; webhooks come to the port WEBHOOK_PORT. Prints one JSON object: what
each step came to."""
import asyncio
import json
import os
import queue
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ardenpy as arden
from ardenpy.client import ArdenClient
from ardenpy.integrations.langchain import ArdenCallbackHandler
from ardenpy.token_usage import log_token_usage
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

BASE = sys.argv[1]
RAN = []
PARKED = queue.Queue()


def request(path, key, body=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"{BASE}{path}", data, {"x-api-key": key, "content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read())


def parked():
    """The approvals that wait, newest first."""
    root = BASE.removesuffix("/arden")
    asked = urllib.request.Request(f"{root}/v1/approvals?state=pending")
    asked.add_header("authorization", f"Bearer {os.environ['OPERATOR']}")
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return json.loads(answer.read())["approvals"]


def soon(decision, message, wait=0.3):
    """Decides the next call that is parked."""
    known = {approval["id"] for approval in parked()}

    def decide():
        for _ in range(200):
            time.sleep(0.05)
            new = [approval["id"] for approval in parked() if approval["id"] not in known]
            if new:
                time.sleep(wait)
                request(f"/{decision}/{new[0]}", os.environ["OPERATOR"], {"message": message})
                return

    threading.Thread(target=decide, daemon=True).start()


def refund(amount: float, reference: str, currency: str = "EUR"):
    RAN.append(amount)
    return f"refunded {amount} {currency}"


def outcome(call):
    try:
        return call()
    except (arden.PolicyDeniedError, arden.ApprovalTimeoutError, arden.ArdenError) as error:
        return {type(error).__name__: str(error)}


def configure(key="AGENT", **more):
    arden.configure(api_key=os.environ[key], api_url=BASE, poll_interval=0.1, signing_key=os.environ["SIGNING_KEY"],
                    **{"max_poll_time": 30.0, **more})


def new():
    return str(uuid.uuid4())


def waiting():
    guarded = arden.guard_tool("stripe.issue_refund", refund)
    yield "allowed", outcome(lambda: guarded(20.0, new()))
    yield "blocked", outcome(lambda: guarded(5000.0, new()))
    soon("approve", "checked with customer")
    yield "approved", outcome(lambda: guarded(150.0, new()))
    soon("deny", "amount mismatch")
    yield "denied", outcome(lambda: guarded(151.0, new()))
    slow = arden.guard_tool("slow.transfer", refund)
    yield "expired", outcome(lambda: slow(1.0, new()))
    configure(max_poll_time=0.5)
    gave_up = outcome(lambda: guarded(152.0, new()))
    yield "the client gave up", list(gave_up)
    configure()
    yield "no policy", outcome(lambda: arden.guard_tool("crm.update_contact", lambda contact_id: "updated")("c-17"))
    yield "ran", list(RAN)

    async def later(amount: float, reference: str):
        return f"async {amount}"

    yield "async function", asyncio.run(arden.guard_tool("stripe.issue_refund", later)(20.0, new()))


def asynchronous():
    done = queue.Queue()
    guarded = arden.guard_tool("stripe.issue_refund", refund, approval_mode="async", on_approval=done.put, on_denial=done.put)
    soon("approve", "fine")
    pending = guarded(160.0, new())
    yield "async pending", type(pending).__name__
    yield "async approved", done.get(timeout=30)
    soon("deny", "no")
    guarded(161.0, new())
    error = done.get(timeout=30)
    yield "async denied", {type(error).__name__: str(error)}


class Receiver(BaseHTTPRequestHandler):
    """The agent's endpoint. Its first answer is lost."""

    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.seen.append(self.headers["x-arden-signature"])
        status = 503 if len(Receiver.seen) == 1 else 200
        if status == 200:
            try:
                arden.handle_webhook(body=body, headers=dict(self.headers))
            except ValueError:
                status = 401
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def webhook():
    receiver = ThreadingHTTPServer(("127.0.0.1", int(os.environ["WEBHOOK_PORT"])), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    done = queue.Queue()
    guarded = arden.guard_tool("stripe.issue_refund", refund, approval_mode="webhook",
                               on_approval=lambda event: done.put(("approved", event)),
                               on_denial=lambda event: done.put(("denied", event)))
    reference = new()
    soon("approve", "call back", wait=0)
    pending = guarded(170.0, reference)
    word, event = done.get(timeout=30)
    expected = {"amount": 170.0, "reference": reference, "currency": "EUR"}
    yield "webhook approved", [word, event.action_id == pending.action_id, event.context == expected, event.approved_by,
                               event.notes, event.tool_name]
    soon("deny", "duplicate request", wait=0)
    guarded(171.0, new())
    word, event = done.get(timeout=30)
    yield "webhook denied", [word, event.event_type, event.notes]
    yield "webhook signatures", len(set(Receiver.seen)) == len(Receiver.seen) >= 3
    receiver.shutdown()


def langchain():
    arden.set_session("chat-881")
    tool = StructuredTool.from_function(refund, name="stripe.issue_refund", description="Gives money back.")
    yield "langchain allowed", outcome(lambda: tool.invoke({"amount": 30.0, "reference": new()}))
    yield "langchain blocked", outcome(lambda: tool.invoke({"amount": 9000.0, "reference": new()}))
    soon("approve", None)
    call = {"type": "tool_call", "id": "t1", "name": "stripe.issue_refund", "args": {"amount": 180.0, "reference": new()}}
    yield "langchain approved", outcome(lambda: asyncio.run(tool.ainvoke(call)).content)
    arden.clear_session()
    before = len(parked())
    observer = ArdenCallbackHandler()
    observer.on_tool_start({"name": "stripe.issue_refund"}, "{'amount': 190}", run_id=1)
    observer.on_tool_end("refunded", run_id=1)
    yield "observation parked", len(parked()) - before


def usage():
    arden.set_session("chat-882")
    answers = iter([AIMessage("hi", usage_metadata={"input_tokens": 1210, "output_tokens": 88, "total_tokens": 1298})])
    model = GenericFakeChatModel(messages=answers)
    model.invoke("hello")
    log_token_usage(model="claude-sonnet-4-6", prompt_tokens=1210, completion_tokens=88)
    arden.clear_session()
    for _ in range(100):
        counted = request("/token-usage?by=model", os.environ["OPERATOR"])
        if counted["total"]["calls"] >= 2:
            break
        time.sleep(0.1)
    groups = {group["key"]: group for group in counted["groups"]}
    yield "usage known", [groups["claude-sonnet-4-6"][key] for key in ("calls", "total_tokens", "total_cost_usd")]
    yield "usage unknown", counted["total"]["unknown_model_calls"]
    by_session = request("/token-usage?by=session", os.environ["OPERATOR"])
    yield "usage by session", [group["key"] for group in by_session["groups"]]


def keys():
    client = ArdenClient()
    action = client.check_tool_call("stripe.issue_refund", [], {"amount": 200.0, "reference": new()})
    yield "an agent approves", list(outcome(lambda: client.approve_action(action.action_id, "myself")))
    configure("TEST")
    yield "another side asks", list(outcome(lambda: ArdenClient().get_action_status(action.action_id)))
    configure("OPERATOR")
    yield "an operator denies", ArdenClient().deny_action(action.action_id, "late")
    configure("AGENT")
    status = ArdenClient().get_action_status(action.action_id)
    yield "its status", [status.status.value, status.message]
    configure("NOBODY")
    yield "an unknown key", list(outcome(lambda: arden.guard_tool("crm.update_contact", lambda: 1)()))


def main():
    os.environ["NOBODY"] = "arden_live_" + "0" * 32
    configure()
    results = {}
    for steps in (waiting(), asynchronous(), webhook(), langchain(), usage(), keys()):
        for name, result in steps:
            results[name] = result
    print(json.dumps(results))


started = time.monotonic()
main()
print(f"{time.monotonic() - started:.1f} s", file=sys.stderr)
