"""Servers of this machine that take mail and chat messages, for the examples that send them."""

import http.server
import json
import ssl
import subprocess
import threading
from email import message_from_bytes
from email.policy import default as mail_policy
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from conftest import DEADLINE_S, free_port


class Mailbox:
    """A mail server that asks for TLS and a login, and takes `limit` messages."""

    def __init__(self, directory: Path):
        self.mails, self.limit, self.refused = [], None, set()
        self.certificate, key = directory / "mail.pem", directory / "mail.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-keyout", key, "-out", self.certificate], check=True, capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)

        def may_enter(server, session, envelope, mechanism, given):
            return AuthResult(success=(given.login, given.password) == (b"crm", b"open sesame"))

        self.server = Controller(
            self, hostname="127.0.0.1", port=free_port(), tls_context=context,
            require_starttls=True, auth_required=True, authenticator=may_enter,
            ready_timeout=DEADLINE_S,
        )

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 taken"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802, the library's name
        if len(self.mails) == self.limit:
            return "451 try again later"
        self.mails.append(message_from_bytes(envelope.content, policy=mail_policy))
        return "250 taken"

    def ids(self) -> list[str]:
        return [mail["Message-ID"].removeprefix("<").removesuffix("@lifetide>")
                for mail in self.mails]


class Chat(http.server.ThreadingHTTPServer):
    """A chat's webhook; it does not answer the message that is the `held`th until `release`."""

    def __init__(self):
        self.texts, self.held = [], None
        self.reached, self.release = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), Webhook)

    def hold(self, number: int):
        self.held = number
        self.reached.clear()
        self.release.clear()

    def handle_error(self, request, client_address):
        """Who was killed takes no answer."""


class Webhook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802, the library's name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.texts.append(json.loads(body)["text"])
        if len(self.server.texts) == self.server.held:
            self.server.reached.set()
            self.server.release.wait(DEADLINE_S)
        self.send_response(200 if self.path == "/secret" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass
