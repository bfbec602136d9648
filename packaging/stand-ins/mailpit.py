#!/usr/bin/python3 -I
"""The part of Mailpit that our tests use, where Mailpit cannot be pulled: takes mail on port 1025 and lists it on 8025.

`GET /api/v1/messages` has `total` and `messages`, newest first, each with `ID Created From To Subject Snippet`;
`GET /readyz` answers. Mail is kept in memory. `mailpit readyz` exits 0 if the server is ready.
"""

import email
import email.policy
import email.utils
import json
import sys
import urllib.request
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MESSAGES = []


class Inbox:
    async def handle_DATA(self, _server, _session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body(("plain",))
        MESSAGES.insert(0, {
            "ID": uuid.uuid4().hex,
            "Created": datetime.now(timezone.utc).isoformat(),
            "From": addresses([message["From"] or ""])[0],
            "To": addresses(message.get_all("To", [])),
            "Subject": str(message["Subject"] or ""),
            "Snippet": " ".join(body.get_content().split())[:250] if body else "",
        })
        return "250 OK"


def addresses(headers):
    return [{"Name": name, "Address": address} for name, address in email.utils.getaddresses(map(str, headers))]


class Pages(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/readyz":
            self.answer(200, {"status": "ok"})
        elif path == "/api/v1/messages":
            self.answer(200, {"total": len(MESSAGES), "messages": MESSAGES[:50]})
        else:
            self.answer(404, {"error": "not found"})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def main():
    if sys.argv[1:] == ["readyz"]:
        urllib.request.urlopen("http://127.0.0.1:8025/readyz", timeout=3)
        return
    from aiosmtpd.controller import Controller
    Controller(Inbox(), hostname="0.0.0.0", port=1025).start()
    ThreadingHTTPServer(("0.0.0.0", 8025), Pages).serve_forever()


if __name__ == "__main__":
    main()
