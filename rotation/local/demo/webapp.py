"""A small web application whose credential is pinned in Git: ``python -m ...demo.webapp``.

It follows a file in a repository, reads the version the file names, and queries the database
without a pause.  ``/healthz`` answers 200, or 500 while queries fail; ``/`` says what it did.

Rules of this module:
  1. The next connection is opened before the present one is let go.
  2. What fails is counted; nothing is retried in secret, and no value is printed.
"""

import argparse
import json
import threading
import time
from collections import deque
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import psycopg
from dulwich.errors import GitProtocolError

from rotation.client import SecretManagerSource
from rotation.client.psycopg import Connection, connect
from rotation.local.git import Reader
from rotation.model.errors import RotationError
from rotation.model.names import SecretName
from rotation.pins import Pin, find

_WORKERS: Final = 3
_THINK: Final = 0.02
_POLL: Final = 0.25
#: Latest outcomes that its health is judged by.
_RECENT: Final = 30


class Shop:
    """The application."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._git = Reader(arguments.repository)
        self._lock = threading.Lock()
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self.pinned = 0
        self.queries = self.failed = 0
        self.using: dict[str, int] = {}

    def follow(self) -> None:
        """Read the pin, again and again."""
        while True:
            with suppress(GitProtocolError, OSError, KeyError, RotationError):
                self.pinned = self._read_pin()
            time.sleep(_POLL)

    def work(self) -> None:
        """Query, again and again, with the credential of the pinned version."""
        name, connection, version = threading.current_thread().name, None, 0
        while True:
            try:
                if self.pinned != version:
                    connection, version = self._moved(connection)
                    self.using[name] = version
                if connection is not None:
                    connection.execute("SELECT count(*), sum(total) FROM orders").fetchone()
                    self._note(well=True)
            except (psycopg.Error, RotationError):
                self._note(well=False)
                if connection is not None and connection.closed:
                    version = 0
            time.sleep(_THINK)

    @property
    def is_well(self) -> bool:
        """Whether nothing failed lately."""
        with self._lock:
            return bool(self._recent) and all(self._recent)

    def activity(self) -> dict[str, Any]:
        """Return what it did so far."""
        with self._lock:
            versions = sorted(set(self.using.values()))
            return {"versions": versions, "queries": self.queries, "failed": self.failed}

    def _read_pin(self) -> int:
        content = self._git.read(self._arguments.path)
        pin = Pin(SecretName.parse(self._arguments.secret), locate="resource")
        found = find(content, self._arguments.path, pin)
        return int(found[0].value)

    def _moved(self, old: Connection | None) -> tuple[Connection, int]:
        version = self.pinned
        source = SecretManagerSource(
            self._arguments.secret, version, endpoint=self._arguments.endpoint
        )
        try:
            made = connect(source.read(), autocommit=True, application_name=self._arguments.name)
        finally:
            source.close()
        if old is not None:
            old.close()
        return made, version

    def _note(self, *, well: bool) -> None:
        with self._lock:
            self.queries += 1
            self.failed += not well
            self._recent.append(well)


def serve(shop: Shop, port: int) -> None:
    """Answer until killed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            healthy = self.path != "/healthz" or shop.is_well
            body = json.dumps(shop.activity()).encode()
            self.send_response(200 if healthy else 500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    """Run the application."""
    parser = argparse.ArgumentParser()
    for name in ("name", "repository", "path", "secret", "endpoint"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    shop = Shop(parser.parse_args())
    for target in (shop.follow, *[shop.work] * _WORKERS):
        threading.Thread(target=target, daemon=True).start()
    serve(shop, shop._arguments.port)  # noqa: SLF001 - one program


if __name__ == "__main__":
    main()
