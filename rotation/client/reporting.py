"""What this consumer says about the credentials it uses: the contract ``rotation.consumer/1``.

Rules of this module:
  1. A report holds names, numbers, times and a few reasons, never a secret value.
  2. A pool that does not know its secret's name, or is not open, is left out: it has nothing to
     say, and who waits for it goes on waiting.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rotation.model.consumer import CONTRACT, Failure, Held, Usage

_JSON: Final = {"Content-Type": "application/json", "Cache-Control": "no-store"}


class Reporting(Protocol):
    """What can be reported on; `rotation.client.Rotating` can."""

    @property
    def secret(self) -> str:
        """Full name of the secret."""

    def usage(self) -> Usage | None:
        """Say which credential is in use."""

    def draining(self) -> tuple[Held, ...]:
        """Name the credentials that are still used beside it."""


def report(*pools: Reporting, now: datetime | None = None) -> dict[str, Any]:
    """Return a report on all pools, as JSON values."""
    secrets: dict[str, list[dict[str, Any]]] = {}
    for pool in pools:
        name, usage = pool.secret, pool.usage()
        if name and usage is not None:
            secrets.setdefault(name, []).append(_entry(usage, pool.draining()))
    return {
        "contract": CONTRACT,
        "reported_at": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "secrets": {
            name: entries[0] if len(entries) == 1 else entries for name, entries in secrets.items()
        },
    }


def respond(*pools: Reporting) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body, for the route of any web framework."""
    return 200, _JSON, json.dumps(report(*pools)).encode()


@contextmanager
def serve_report(
    *pools: Reporting, host: str = "127.0.0.1", port: int = 0, path: str = "/rotation"
) -> Iterator[str]:
    """Answer GET on ``path`` inside the block, on a thread; yields the URL.

    It has no TLS and asks nobody who they are: bind it where only the rotation reaches it, or use
    `respond` in a route of your own.
    """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer  # noqa: PLC0415

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing holds a thread

        def do_GET(self) -> None:
            status, headers, body = respond(*pools)
            if self.path.partition("?")[0] != path:
                status, body = 404, b"{}"
            self.send_response(status)
            for name, text in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
            """Say nothing: a look every few seconds is not news."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="rotation-report", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(usage: Usage, draining: tuple[Held, ...]) -> dict[str, Any]:
    entry = {**_held(usage.held), **_since(usage.since)}
    if usage.failure is not None:
        entry["failing"] = _failing(usage.failure)
    if draining:
        entry["draining"] = [_held(held) for held in draining]
    return entry


def _failing(failure: Failure) -> dict[str, Any]:
    return {**_held(failure.held), "reason": failure.trouble.value, **_since(failure.since)}


def _held(held: Held) -> dict[str, Any]:
    named: dict[str, Any] = {} if held.version is None else {"version": held.version}
    return {**named, "rotation_id": held.rotation_id} if held.rotation_id else named


def _since(moment: datetime | None) -> dict[str, Any]:
    return {} if moment is None else {"since": moment.isoformat(timespec="seconds")}
