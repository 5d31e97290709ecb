"""Secret Manager over gRPC.

Served from the table of calls, with the messages of the public client library.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from rotation.emulator.iam import caller_of
from rotation.emulator.secretmanager.dispatcher import Dispatcher
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.rpcs import LOCATIONS, MAIN_SERVICE, RPCS, Rpc
from rotation.emulator.status import StatusError, abort

logger: Final = logging.getLogger(__name__)

_Context = grpc.aio.ServicerContext[Any, Any]


def add_handlers(server: grpc.aio.Server, dispatcher: Dispatcher) -> None:
    """Serve every call on a gRPC server that has not been started."""
    for service in (MAIN_SERVICE, LOCATIONS):
        handlers = {
            rpc.name: grpc.unary_unary_rpc_method_handler(
                _handler(dispatcher, rpc),
                request_deserializer=rpc.request.FromString,
                response_serializer=rpc.response.SerializeToString,
            )
            for rpc in RPCS.values()
            if rpc.service == service
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _handler(dispatcher: Dispatcher, rpc: Rpc) -> Callable[[Message, _Context], Awaitable[Message]]:
    async def handle(request: Message, context: _Context) -> Message:
        try:
            return await dispatcher.call(
                rpc, request, caller_of(context.invocation_metadata() or ())
            )
        except StatusError as error:
            refusal: Exception = error
        except Exception as error:
            logger.exception("%s failed", rpc.name)
            refusal = error
        return await abort(context, refusal)

    return handle
