"""Serve an ASGI application on the running event loop.

1. The port is bound before anything else happens, so its number is known and a taken one is an
   error of the caller.
2. Signals stay with whoever runs the loop.
3. Leaving stops accepting, finishes what is being answered for a second, then cancels it.
4. An idle connection outlives what clients keep: one that both ends give up after the same time
   now and then breaks under a request.
5. A request whose ``Host`` is not this machine is refused before the application sees it.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rotation.emulator.loopback import MISDIRECTED, REFUSAL, is_local

#: Many clients keep a connection for 5 s, some for a minute; uvicorn closes it after 5 s itself.
_IDLE_SECONDS: Final = 75


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, and with an event when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextlib.asynccontextmanager
async def serve_app(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve ``app`` inside the block; yields its base URL without a trailing slash."""
    listener = _listener(host, port)
    config = uvicorn.Config(
        _local_only(app),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        await server.listening.wait()
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


def _local_only(app: ASGIApp) -> ASGIApp:
    error = {"code": MISDIRECTED, "message": REFUSAL, "status": "FAILED_PRECONDITION"}
    refusal = JSONResponse({"error": error}, status_code=MISDIRECTED)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value for name, value in scope.get("headers", ()) if name == b"host"]
        local = len(hosts) == 1 and is_local(hosts[0].decode("latin-1"))
        await (app if local else refusal)(scope, receive, send)

    return serve


def _listener(host: str, port: int) -> socket.socket:
    """Bind a socket whose protocol is named.

    Only then does asyncio switch Nagle's algorithm off; with it every answer takes 40 ms.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener
