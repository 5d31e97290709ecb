"""Run the embedded Pub/Sub: gRPC, push delivery, and an application for REST.

It owns the servers, never the broker: whoever made the broker closes it.

1. Everything runs on the event loop that entered it; nothing here starts a thread.
2. It listens on 127.0.0.1 only: there is no authentication.
"""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import grpc.aio

from rotation.emulator.pubsub.api import PubSubApi
from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.dispatcher import Dispatcher
from rotation.emulator.pubsub.grpc_api import add_services
from rotation.emulator.pubsub.rest_api import rest_app, rest_routes

__all__ = ["PubSubServer", "rest_app", "rest_routes"]


class PubSubServer:
    """Serves a broker over gRPC and pushes its deliveries while it is entered.

    Args:
        broker: What to serve.
        grpc_port: Port on 127.0.0.1; 0 takes a free one.
        first_window: How many pushes of one subscription may run at once before the first
            answer.  The real service starts with 1.
    """

    def __init__(self, broker: Broker, grpc_port: int = 0, *, first_window: int = 1) -> None:
        self._broker = broker
        self._port = grpc_port
        self._first_window = first_window
        self._resources = AsyncExitStack()

    @property
    def grpc_address(self) -> str:
        """``127.0.0.1:PORT``, the value for ``PUBSUB_EMULATOR_HOST``.  Known once entered."""
        return f"127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as resources:
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            add_services(server, PubSubApi(self._broker))
            self._port = server.add_insecure_port(self.grpc_address)
            await server.start()
            # No grace: an open streaming pull would use it up.
            resources.push_async_callback(server.stop, None)
            await resources.enter_async_context(
                Dispatcher(self._broker, first_window=self._first_window)
            )
            self._resources = resources.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._resources.aclose()
