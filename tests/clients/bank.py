"""An MCP server in both eras, over stdio, with one tool that writes a line to a file each time it runs.

Usage: bank.py FILE
"""

import sys

from mcp.server import MCPServer

server = MCPServer("bank")


@server.tool(structured_output=False)
def wire_transfer(amount: int) -> str:
    """Moves money."""
    with open(sys.argv[1], "a") as book:
        book.write(f"{amount}\n")
    return "it ran"


if __name__ == "__main__":
    server.run()
