"""Serve a store over gRPC and REST, on the running event loop.

1. Both transports share one dispatcher, so a write through one is visible through the other, and a
   counter or a failure counts for both.
2. Leaving the server answers calls that are held back, closes both ports and waits for them.
3. The store belongs to whoever made it; the server does not close it.
"""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import grpc.aio
from starlette.applications import Starlette

from rotation.emulator.iam.rest_api import iam_routes
from rotation.emulator.secretmanager.control_api import control_routes
from rotation.emulator.secretmanager.dispatcher import Dispatcher
from rotation.emulator.secretmanager.grpc_api import add_handlers
from rotation.emulator.secretmanager.rest_api import rest_routes
from rotation.emulator.secretmanager.store import Store
from rotation.emulator.web import serve_app

_HOST: Final = "127.0.0.1"
#: Two servers on one port would share its calls; the second one shall fail instead.
_OPTIONS: Final = (("grpc.so_reuseport", 0),)


class SecretManagerServer:
    """Both transports of one store: ``async with SecretManagerServer(store) as server``.

    Args:
        store: What is served.
        grpc_port: 0 picks a free one.
        rest_port: 0 picks a free one; None serves no REST here, and the caller mounts `rest_app`.
        host: Which address to listen on.
    """

    def __init__(
        self,
        store: Store,
        *,
        grpc_port: int = 0,
        rest_port: int | None = 0,
        host: str = _HOST,
    ) -> None:
        self.store = store
        self.dispatcher = Dispatcher(store)
        #: The REST and control API as an ASGI application.
        self.rest_app = Starlette(
            routes=[
                *iam_routes(lambda: self.dispatcher.store.permissions),
                *rest_routes(self.dispatcher),
                *control_routes(self.dispatcher),
            ]
        )
        #: ``host:port`` of the gRPC endpoint, once entered.
        self.grpc_address = ""
        #: Base URL of the REST endpoint without a trailing slash, once entered.
        self.rest_url = ""
        self._host, self._grpc_port, self._rest_port = host, grpc_port, rest_port
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._rest_port is not None:
                self.rest_url = await stack.enter_async_context(
                    serve_app(self.rest_app, self._host, self._rest_port)
                )
            await self._serve_grpc(stack)
            stack.callback(self.dispatcher.release)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _serve_grpc(self, stack: AsyncExitStack) -> None:
        server = grpc.aio.server(options=_OPTIONS)
        add_handlers(server, self.dispatcher)
        port = server.add_insecure_port(f"{self._host}:{self._grpc_port}")
        await server.start()
        stack.push_async_callback(server.stop, grace=None)
        self.grpc_address = f"{self._host}:{port}"
