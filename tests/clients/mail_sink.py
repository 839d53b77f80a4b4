"""A mail server on a free port, by aiosmtpd: prints its address, then every mail that it takes as one line of JSON."""

import asyncio
import json
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        with open(sys.argv[1], "a", encoding="utf-8") as file:
            told = {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "subject": mail["subject"],
                "id": mail["message-id"],
                "text": mail.get_content(),
            }
            file.write(json.dumps(told) + "\n")
        return "250 taken"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), loop=loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"smtp://127.0.0.1:{port}"}), flush=True)
    await server.serve_forever()


asyncio.run(main())
