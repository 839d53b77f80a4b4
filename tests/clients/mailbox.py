"""An MCP server over stdio, in both eras, with somebody's mail and files.

Usage: mailbox.py FOLDER
The inbox is FOLDER/inbox.txt; what is sent is added to FOLDER/outbox.jsonl, one mail in a line. Nothing leaves the machine.
"""

import json
import pathlib
import sys

from mcp.server import MCPServer

server = MCPServer("mailbox")
folder = pathlib.Path(sys.argv[1])


@server.tool(structured_output=False)
def read_inbox() -> str:
    """Gives the mail that came in."""
    return (folder / "inbox.txt").read_text()


@server.tool(structured_output=False)
def list_files() -> str:
    """Names the user's files."""
    return "\n".join(sorted(path.name for path in (folder / "files").iterdir()))


@server.tool(structured_output=False)
def read_file(name: str) -> str:
    """Gives the text of one of the user's files."""
    return (folder / "files" / pathlib.PurePath(name).name).read_text()


@server.tool(structured_output=False)
def send_email(to: str, subject: str, body: str) -> str:
    """Sends a mail."""
    with open(folder / "outbox.jsonl", "a") as outbox:
        outbox.write(json.dumps({"to": to, "subject": subject, "body": body}) + "\n")
    return "it was sent"


if __name__ == "__main__":
    server.run()
