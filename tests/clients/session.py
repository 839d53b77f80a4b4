"""A session of the Python client, as its argument says. Plan and answer: README.md."""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

MODES = {"legacy": "legacy", "auto": "auto", "modern": "2026-07-28"}


def text_of(result):
    return "\n".join(getattr(block, "text", "") for block in result.content)


async def take(client, kind, *rest):
    try:
        if kind == "tools":
            return {"names": sorted(tool.name for tool in (await client.list_tools()).tools)}
        if kind == "resources":
            return {"names": sorted(str(one.uri) for one in (await client.list_resources()).resources)}
        if kind == "read":
            result = await client.read_resource(rest[0])
            return {"text": "\n".join(getattr(one, "text", "") for one in result.contents)}
        if kind == "prompt":
            result = await client.get_prompt(rest[0], rest[1])
            return {"text": "\n".join(getattr(one.content, "text", "") for one in result.messages)}
        if kind != "call":
            raise ValueError(kind)
        result = await client.call_tool(rest[0], rest[1])
        return {"error": bool(result.is_error), "text": text_of(result), "structured": result.structured_content}
    except MCPError as error:
        return {"code": error.error.code, "text": error.error.message}


async def session(target, plan):
    async with Client(target, mode=MODES[plan["mode"]]) as client:
        seen = {name: await take(client, *step) for name, step in plan["steps"].items()}
        # A client that takes an era without asking does not learn the server's name.
        server = client.server_info.name if client.server_info else None
        return {"version": client.protocol_version, "server": server, "steps": seen}


async def run(plan):
    if "command" in plan:
        program, *arguments = plan["command"]
        return await session(StdioServerParameters(command=program, args=arguments), plan)
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {plan['token']}"}, timeout=60) as http:
        return await session(streamable_http_client(plan["url"], http_client=http), plan)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
