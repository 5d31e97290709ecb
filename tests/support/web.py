"""A real HTTP server on 127.0.0.1 that answers as a test sets it.

Rules of this module:
  1. What it was asked is kept, headers included: so it shows who was sent a token.
  2. A server that hangs lets go when the block ends.
"""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    path: str
    headers: Message


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: Sent in place of everything else.
    raw: bytes | None = None
    hangs: bool = False
    #: Sent byte by byte, for ever, after what is sent otherwise.
    drips: bytes = b""


@dataclass
class Web:
    url: str
    port: int
    reply: Callable[[Asked], Reply]
    asked: list[Asked] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def says(self, *, body: bytes = b"", status: int = 200, **more: Any) -> None:
        self.reply = lambda _asked: Reply(status, body, **more)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = Asked(handler.path, handler.headers)
        self.asked.append(asked)
        reply = self.reply(asked)
        if reply.hangs:
            self._end.wait()
            return
        if reply.raw is not None:
            handler.wfile.write(reply.raw)
            while reply.drips and not self._end.wait(0.1):
                handler.wfile.write(reply.drips)
            return
        handler.send_response(reply.status)
        headers = {"Content-Length": str(len(reply.body))} | reply.headers
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(reply.body)

    def release(self) -> None:
        self._end.set()


@contextmanager
def serve_web(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.answer(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a gate that has gone away

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    web = Web(f"http{'s' if tls else ''}://127.0.0.1:{port}", port, lambda _asked: Reply())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield web
    finally:
        web.release()
        server.shutdown()
        server.server_close()
        thread.join()
