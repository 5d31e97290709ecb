"""A small HTTP server for stand-ins: records every request, and fails on order.

An application is a callable from `Request` to `Response`.  What goes wrong is planned with
`Server.fail`: before the application saw the request, or after it did and its answer was lost.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps, loads
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

#: ``reset``, ``silent``: the connection is cut, or nothing is sent, before anything was done.
#: ``unheard``: it was done, and the connection is cut instead of an answer.
Trouble = Literal["reset", "silent", "unheard"]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    #: As sent, escapes and all.
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    raw_query: str = ""

    @property
    def json(self) -> Any:
        return loads(self.body) if self.body else {}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Response:
    """What the server says."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else dumps(self.body).encode()


@dataclass
class Failure:
    """One thing that goes wrong."""

    matches: Callable[[Request], bool]
    what: Response | Trouble
    #: How many requests fail before all is well; None: every one.
    times: int | None = 1


class Server(ThreadingHTTPServer):
    """Serves one application on a free port of 127.0.0.1."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, application: Callable[[Request], Response]) -> None:
        self.application = application
        self.requests: list[Request] = []
        self.failures: list[Failure] = []
        self.released = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def fail(
        self,
        what: Response | Trouble,
        matches: Callable[[Request], bool] = lambda _request: True,
        times: int | None = 1,
    ) -> None:
        self.failures.append(Failure(matches, what, times))

    def trouble(self, request: Request) -> Response | Trouble | None:
        for failure in self.failures:
            if failure.times != 0 and failure.matches(request):
                if failure.times is not None:
                    failure.times -= 1
                return failure.what
        return None

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def serve(application: Callable[[Request], Response]) -> Iterator[Server]:
    server = Server(application)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Head and body are two writes: the second must not wait for the first to be acknowledged.
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        request = self._read()
        self.server.requests.append(request)
        match self.server.trouble(request):
            case Response() as refusal:
                self._say(refusal)
            case "reset":
                self._cut()
            case "silent":
                self.server.released.wait(20)
                self._cut()
            case "unheard":
                self.server.application(request)
                self._cut()
            case None:
                self._say(self.server.application(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 - as looked up

    def _read(self) -> Request:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        return Request(self.command, parts.path, parse_qs(parts.query), headers, body, parts.query)

    def _say(self, response: Response) -> None:
        content = response.content
        self.send_response(response.status)
        kind = (
            "application/octet-stream" if isinstance(response.body, bytes) else "application/json"
        )
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), **response.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut(self) -> None:
        # An immediate reset instead of an orderly end.
        option = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""
