"""An MCP server over standard streams with one tool, which writes a line to the file of its argument each time it runs. A call
with `"slow": true` is not answered."""
import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    method = request["method"]
    if method == "initialize":
        result = {
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bank", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": [{"name": "wire_transfer", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        arguments = request["params"].get("arguments", {})
        with open(sys.argv[1], "a") as book:
            book.write(json.dumps(arguments.get("amount")) + "\n")
        if arguments.get("slow"):
            continue
        result = {"content": [{"type": "text", "text": "it ran"}]}
    else:
        result = {}
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)
