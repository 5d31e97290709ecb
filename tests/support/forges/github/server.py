"""Serves the stand-in over HTTP, lets in who has a right, and fails when a test wants it.

Rules of this module:
  1. Every request is counted, tokens and GraphQL included, so that each can be made to fail.
  2. A failure happens before the effect or after it; after it, the effect stays.
  3. Everything sent is kept, for validation; what is served is JSON as it went over the wire.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.forges.github.bodies import Bodies
from tests.support.forges.github.forge import Forge, Refused
from tests.support.forges.github.graph import Graph
from tests.support.forges.github.rest import Rest

APP, INSTALLATION, TOKEN = 12345, 678, "ghp_" + "s" * 36


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Failure(Enum):
    """What can go wrong with one request."""

    #: Nothing happened.
    UNAVAILABLE = "503 before"
    DROPPED = "connection lost before"
    PRIMARY_LIMIT = "primary rate limit"
    SECONDARY_LIMIT = "secondary rate limit"
    EXPIRED = "token expired"
    #: It happened, and the answer is lost.
    DONE_BUT_BAD_GATEWAY = "502 after"
    DONE_BUT_DROPPED = "connection lost after"
    DONE_BUT_SILENT = "time-out after"
    DONE_BUT_GARBLED = "a proxy's page after"


AFTER = frozenset(failure for failure in Failure if failure.name.startswith("DONE_BUT"))


@dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    query: Mapping[str, str]
    sent: Any
    status: int
    answered: Any

    @property
    def name(self) -> str:
        """What was asked, for messages and counts."""
        if self.path == "/graphql":
            return str(self.sent["query"].split("(", 1)[0])
        return f"{self.method} {re.sub(r'[0-9a-f]{40}', 'OID', self.path)}"


@dataclass
class Server:
    """One stand-in on a port of the loopback."""

    forge: Forge
    exchanges: list[Exchange] = field(default_factory=list)
    #: What goes wrong, by the number of the request, counted from when it was set.
    failures: dict[int, Failure] = field(default_factory=dict)
    #: The same by method; the first request with it goes wrong.
    named_failures: dict[str, Failure] = field(default_factory=dict)
    #: What somebody does just before a request is carried out, by the request's name; once.
    interludes: dict[str, Callable[[], object]] = field(default_factory=dict)
    count: int = 0
    token_life: timedelta = timedelta(hours=1)

    def __post_init__(self) -> None:
        self.key = _key()
        self.tokens: dict[str, datetime | None] = {TOKEN: None}
        self.rights: dict[str, Mapping[str, str]] = {}
        self._lock = threading.RLock()
        self.released = threading.Event()

    @property
    def pem(self) -> bytes:
        return self.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )

    @contextmanager
    def running(self) -> Iterator["Server"]:
        server = self

        class Handler(_Handler):
            stand_in = server

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        self.url = f"http://127.0.0.1:{http.server_port}"
        self.bodies = Bodies(self.forge, self.url)
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            http.shutdown()
            thread.join()
            http.server_close()

    def fail(self, number: int, failure: Failure) -> None:
        """Let the request with this number, counted from now and from zero, go wrong."""
        self.count = 0
        self.failures = {number: failure}

    def fail_at(self, method: str, failure: Failure) -> None:
        """Let the next request with this method go wrong."""
        self.named_failures = {method: failure}

    def expire_tokens(self) -> None:
        self.tokens = dict.fromkeys(self.tokens, datetime.now(UTC))

    def respond(
        self, method: str, url: str, headers: Mapping[str, str], sent: Any
    ) -> tuple[int, Any, Failure | None]:
        parts = urlsplit(url)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        self.interludes.pop(Exchange(method, path, query, sent, 0, None).name, lambda: None)()
        with self._lock:
            failure = self.failures.pop(self.count, None) or self.named_failures.pop(method, None)
            self.count += 1
            if failure is not None and failure not in AFTER:
                return *_failed(failure), failure
            status, body = self._answer(method, path, parts.query, headers, sent)
            self.exchanges.append(Exchange(method, path, query, sent, status, body))
            return status, body, failure

    def _answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str], sent: Any
    ) -> tuple[int, Any]:
        authorization = headers.get("Authorization", "")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in ("bearer", "token"):
            return _error(401, "Requires authentication")
        try:
            if path.startswith("/app/"):
                return self._issue(path, token, sent)
            ends = self.tokens[token] if token in self.tokens else datetime.now(UTC)
            if ends is not None and ends <= datetime.now(UTC):
                return _error(401, "Bad credentials")
            return self._repository(method, path, query, sent, token)
        except Refused as refused:
            return _error(refused.status, str(refused))

    def _repository(
        self, method: str, path: str, query: str, sent: Any, token: str
    ) -> tuple[int, Any]:
        if method != "GET" and not self._may_write(token, sent):
            raise Refused(403, "Resource not accessible by integration")
        if path == "/graphql":
            graph = Graph(self.forge, self.bodies)
            return 200, graph.answer(sent["query"], sent.get("variables") or {})
        prefix = f"/repos/{self.forge.name}"
        if self.forge.gone or not (path == prefix or path.startswith(f"{prefix}/")):
            raise Refused(404, "Not Found")
        if self.forge.renamed_to:
            return 301, {"message": "Moved Permanently", "url": f"{self.url}/repositories/7",
                         "documentation_url": self.url}  # fmt: skip
        if self.forge.archived and method != "GET":
            raise Refused(403, "Repository was archived so is read-only.")
        rest = Rest(self.forge, self.bodies)
        return rest.answer(method, path.removeprefix(prefix), dict(parse_qsl(query)), sent)

    def _may_write(self, token: str, sent: Any) -> bool:
        rights = self.rights.get(token)
        if rights is None or (isinstance(sent, dict) and sent.get("query", "").startswith("query")):
            return True
        return rights.get("contents") == rights.get("pull_requests") == "write"

    def _issue(self, path: str, token: str, sent: Any) -> tuple[int, Any]:
        """Hand out an installation token to who proves to be the App."""
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        try:
            claims = jwt.decode(token, public, algorithms=["RS256"])
        except jwt.InvalidTokenError:
            return _error(401, "A JSON web token could not be decoded")
        if claims["iss"] != str(APP) or claims["exp"] - time.time() > 600:
            return _error(401, "'Expiration time' claim ('exp') is too far in the future")
        if path != f"/app/installations/{INSTALLATION}/access_tokens":
            raise Refused(404, "Not Found")
        name = self.forge.name.split("/")[1]
        if (sent or {}).get("repositories", [name]) != [name]:
            raise Refused(422, "There is at least one repository that does not exist")
        ends = datetime.now(UTC) + self.token_life
        issued = f"ghs_{len(self.tokens):036}"
        self.tokens[issued] = ends
        rights = (sent or {}).get("permissions") or {"contents": "write", "pull_requests": "write"}
        self.rights[issued] = rights
        when = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        selection = {"repository_selection": "selected"}
        return 201, {"token": issued, "expires_at": when, "permissions": rights, **selection}


class _Handler(BaseHTTPRequestHandler):
    stand_in: Server
    protocol_version = "HTTP/1.1"
    #: An answer leaves as one packet.
    wbufsize = -1

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = json.loads(self.rfile.read(length)) if length else None
        status, body, failure = self.stand_in.respond(self.command, self.path, self.headers, sent)
        if failure in (Failure.DROPPED, Failure.DONE_BUT_DROPPED):
            self.close_connection = True
            return
        if failure is Failure.DONE_BUT_SILENT:
            self.stand_in.released.wait(5)
            self.close_connection = True
            return
        if failure is Failure.DONE_BUT_BAD_GATEWAY:
            status, body = 502, {"message": "Server Error"}
        payload = b"" if body is None else json.dumps(body).encode()
        if failure is Failure.DONE_BUT_GARBLED:
            payload = b"<html>Please log in</html>"
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        for name, value in _limits(failure).items():
            self.send_header(name, value)
        if status == 301:
            self.send_header("Location", body["url"])
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _error(status: int, message: str) -> tuple[int, Any]:
    return status, {"message": message, "documentation_url": "https://docs.example",
                    "status": str(status)}  # fmt: skip


def _failed(failure: Failure) -> tuple[int, Any]:
    words = {
        Failure.UNAVAILABLE: (503, "Service unavailable"),
        Failure.PRIMARY_LIMIT: (403, "API rate limit exceeded for installation ID 678."),
        Failure.SECONDARY_LIMIT: (429, "You have exceeded a secondary rate limit."),
        Failure.EXPIRED: (401, "Bad credentials"),
        Failure.DROPPED: (0, ""),
    }
    return _error(*words[failure])


def _limits(failure: Failure | None) -> Mapping[str, str]:
    if failure is Failure.PRIMARY_LIMIT:
        return {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 90)}
    if failure is Failure.SECONDARY_LIMIT:
        return {"Retry-After": "61", "X-RateLimit-Remaining": "4000"}
    return {"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": str(int(time.time()) + 3600)}
