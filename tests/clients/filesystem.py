"""A session of the real MCP client with a real file server behind Portcullis.

Usage: filesystem.py (URL TOKEN | stdio COMMAND ...) FOLDER
Prints one JSON object with what the client saw; the Rust test that calls it judges.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client


def text_of(result):
    return "\n".join(getattr(block, "text", "") for block in result.content)


async def call(client, tool, arguments):
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        return {"rpc_error": error.error.code, "text": error.error.message}
    return {"error": bool(result.is_error), "text": text_of(result)}


async def session(where, folder, mode):
    if where[0] == "stdio":
        return await steps(StdioServerParameters(command=where[1], args=where[2:]), folder, mode)
    url, token = where
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=60) as http:
        return await steps(streamable_http_client(url, http_client=http), folder, mode)


async def steps(target, folder, mode):
    seen = {}
    async with Client(target, mode=mode) as client:
        tools = await client.list_tools()
        seen["tools"] = sorted(tool.name for tool in tools.tools)
        seen["ordinary"] = await call(client, "read_text_file", {"path": f"{folder}/note.txt"})
        seen["secret"] = await call(client, "read_text_file", {"path": f"{folder}/config.txt"})
        script = "#!/bin/sh\nrm -rf / --no-preserve-root\n"
        seen["destructive"] = await call(client, "write_file", {"path": f"{folder}/clean.sh", "content": script})
        seen["written"] = await call(client, "write_file", {"path": f"{folder}/new.txt", "content": "plain words"})
        seen["missing"] = await call(client, "no_such_tool", {})
    return seen


def main():
    *where, folder = sys.argv[1:]
    seen = {mode: asyncio.run(session(where, folder, mode)) for mode in ("legacy", "auto")}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
