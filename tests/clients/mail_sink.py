"""A mail server on a free port, by aiosmtpd: prints its address, then every mail that it takes as one line of JSON."""

import argparse
import asyncio
import json
import ssl
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("mails", help="file that mails are written to")
parser.add_argument("--tls", choices=["wrapped", "starttls"], help="nothing is taken without it")
parser.add_argument("--certificate", nargs=2, metavar=("CERTIFICATE", "KEY"))
parser.add_argument("--login", nargs=2, metavar=("USER", "PASSWORD"), help="nothing is taken without it")
options = parser.parse_args()


class Sink:
    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        with open(options.mails, "a", encoding="utf-8") as file:
            told = {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "subject": mail["subject"],
                "id": mail["message-id"],
                "text": mail.get_content(),
                "secure": session.ssl is not None or options.tls == "wrapped",
                "login": session.auth_data.login.decode() if session.auth_data else None,
            }
            file.write(json.dumps(told) + "\n")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = options.login and [data.login.decode(), data.password.decode()] == options.login
    return AuthResult(success=bool(right), handled=False, auth_data=data)


def protocol(context, loop):
    starts = {"tls_context": context, "require_starttls": True} if options.tls == "starttls" else {}
    needs = {"authenticator": authenticate, "auth_required": True} if options.login else {}
    return SMTP(Sink(), loop=loop, auth_require_tls=options.tls == "starttls", **starts, **needs)


async def main():
    loop = asyncio.get_running_loop()
    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*options.certificate)
    wrapped = context if options.tls == "wrapped" else None
    server = await loop.create_server(lambda: protocol(context, loop), "127.0.0.1", 0, ssl=wrapped)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"smtp://127.0.0.1:{port}"}), flush=True)
    await server.serve_forever()


asyncio.run(main())
