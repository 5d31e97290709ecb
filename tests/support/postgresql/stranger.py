"""A listener that speaks as much of PostgreSQL's protocol as it takes to ask for a password.

It keeps what it was sent, so that a test can show what it never got.
"""

import base64
import socket
import ssl
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

TLS_REQUEST, GSS_REQUEST = 80877103, 80877104
#: What it asks for, as the authentication request says it.
ASKS = {
    "nothing": struct.pack("!I", 0),
    "clear text": struct.pack("!I", 3),
    "md5": struct.pack("!I", 5) + b"salt",
    "gss": struct.pack("!I", 7),
    "sspi": struct.pack("!I", 9),
}
SCRAM = struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"


class Stranger:
    """Asks whoever connects for one kind of proof."""

    def __init__(
        self, ask: bytes, context: ssl.SSLContext | None = None, *, iterations: int = 4096
    ) -> None:
        self._ask, self._context, self._iterations = ask, context, iterations
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        #: All it was sent in answer to its question, and everything else.
        self.answers, self.sent = b"", b""
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def await_farewells(self) -> None:
        """Wait until everything that was sent has been read."""
        for thread in self._threads[1:]:
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, struct.error):
            client.settimeout(5)
            end = self._greet(client)
            with end:
                self._say(end, self._ask)
                if self._ask == SCRAM:
                    nonce = self._heard(end).split(b"r=")[-1]
                    salt = base64.b64encode(b"0123456789abcdef")
                    count = str(self._iterations).encode()
                    first = b"r=" + nonce + b"xyz,s=" + salt + b",i=" + count
                    self._say(end, struct.pack("!I", 11) + first)
                while answer := self._heard(end):
                    self.answers += answer

    def _greet(self, client: socket.socket) -> socket.socket:
        """Read up to the start-up message, under TLS where there is a certificate."""
        while True:
            (length,) = struct.unpack("!I", client.recv(4))
            message = client.recv(length - 4)
            self.sent += message
            (code,) = struct.unpack("!I", message[:4])
            if code == TLS_REQUEST and self._context:
                client.sendall(b"S")
                client = self._context.wrap_socket(client, server_side=True)
            elif code in (TLS_REQUEST, GSS_REQUEST):
                client.sendall(b"N")
            else:
                return client

    def _say(self, end: socket.socket, content: bytes) -> None:
        end.sendall(b"R" + struct.pack("!I", len(content) + 4) + content)

    def _heard(self, end: socket.socket) -> bytes:
        heard = end.recv(65536)
        self.sent += heard
        return heard
