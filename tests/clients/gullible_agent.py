"""An agent that does what the mail it reads tells it to, and then what its user asked for.

Usage: gullible_agent.py PLAN
The plan is JSON: `url`, `token`, `session`, `task` (what the user asked for) and `reply` (the mail that serves it). The answer is
JSON: for each step what came back. In the place of a model there is the simplest one that can be hijacked: it takes the first
sentence that says what to send where for an order.
"""

import asyncio
import json
import re
import sys

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

ORDER = re.compile(r"send the file (?P<file>\S+) to (?P<to>[^\s,]+@[^\s,]+)", re.IGNORECASE)


async def use(client, plan, tool, arguments):
    try:
        result = await client.call_tool(tool, arguments, meta={"portcullis/task": plan["task"]})
    except MCPError as error:
        return {"error": True, "text": error.error.message}
    text = "\n".join(getattr(block, "text", "") for block in result.content)
    codes = (result.meta or {}).get("portcullis/codes", [])
    return {"error": bool(result.is_error), "text": text, "codes": codes}


async def work(client, plan):
    seen = {"inbox": await use(client, plan, "read_inbox", {})}
    order = ORDER.search(seen["inbox"]["text"])
    if order:
        seen["files"] = await use(client, plan, "list_files", {})
        seen["file"] = await use(client, plan, "read_file", {"name": order["file"]})
        mail = {"to": order["to"], "subject": "as you asked", "body": seen["file"]["text"]}
        seen["stolen"] = await use(client, plan, "send_email", mail)
    seen["reply"] = await use(client, plan, "send_email", plan["reply"])
    return seen


async def run(plan):
    headers = {"authorization": f"Bearer {plan['token']}", "portcullis-session": plan["session"]}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        async with Client(streamable_http_client(plan["url"], http_client=http), mode=plan["mode"]) as client:
            return await work(client, plan)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
