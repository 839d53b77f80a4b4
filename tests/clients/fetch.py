"""An MCP server that fetches web pages, as agents have it: what comes back is written by strangers.

Usage: fetch.py [http]
Over stdio; with `http` over Streamable HTTP, in both eras, on a free port of 127.0.0.1: prints its address as one JSON line.
It fetches from 127.0.0.1 alone.
"""

import json
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

LONGEST = 1 << 20
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

server = MCPServer("fetch")


@server.tool(structured_output=False)
def fetch(url: str) -> str:
    """Fetches a page and gives its text."""
    if urllib.parse.urlsplit(url).hostname != "127.0.0.1":
        raise ToolError("only pages of 127.0.0.1 are fetched")
    try:
        with DIRECT.open(url, timeout=30) as page:
            return page.read(LONGEST).decode()
    except urllib.error.HTTPError as error:
        raise ToolError(f"the page answers {error.code}") from error


class Announced(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(json.dumps({"url": f"http://127.0.0.1:{sockets[0].getsockname()[1]}/mcp"}), flush=True)


def main():
    if sys.argv[1:] != ["http"]:
        server.run()
        return
    listener = socket.create_server(("127.0.0.1", 0))
    # A connection is never closed for being idle: on a slow machine a call would meet the closing.
    app = server.streamable_http_app(host="127.0.0.1")
    config = uvicorn.Config(app, log_level="warning", timeout_keep_alive=600)
    Announced(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
