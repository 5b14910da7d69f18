"""A mail server on loopback that keeps what it is sent."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage


@contextmanager
def mail_server() -> Iterator[tuple[int, list[EmailMessage]]]:
    """Yield its port, and the messages in the order in which they come."""
    messages: list[EmailMessage] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 loopback")
            for line in self.rfile:
                command = line[:4].upper()
                if command == b"DATA":
                    self._say("354 go on")
                    messages.append(self._message())
                self._say("221 bye" if command == b"QUIT" else "250 ok")
                if command == b"QUIT":
                    return

        def _message(self) -> EmailMessage:
            lines = list(iter(self.rfile.readline, b".\r\n"))
            body = b"".join(line.removeprefix(b".") for line in lines)
            found: Any = email.message_from_bytes(body, policy=email.policy.default)
            return found  # type: ignore[no-any-return]

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], messages
        server.shutdown()
