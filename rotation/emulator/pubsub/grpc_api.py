"""Serve `METHODS` and StreamingPull over gRPC, with Google's own request types.

It decides nothing; refusals come from the broker as `StatusError`.

1. Every unary call runs through one function, so every refusal looks the same.
2. A fault of ours is INTERNAL, without its text.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message as ProtobufMessage
from google.pubsub_v1 import types

from rotation.emulator import status
from rotation.emulator.iam import caller_of
from rotation.emulator.pubsub import access
from rotation.emulator.pubsub.api import PubSubApi
from rotation.emulator.pubsub.methods import IAM, METHODS, PUBLISHER, SUBSCRIBER, Method
from rotation.emulator.pubsub.streaming import stream

_Context = grpc.aio.ServicerContext[Any, Any]


def add_services(server: grpc.aio.Server, api: PubSubApi) -> None:
    """Let a gRPC server answer for Publisher, Subscriber and IAM."""
    for service in (PUBLISHER, SUBSCRIBER, IAM):
        handlers = {
            method.name: _handler(method, api) for method in METHODS if method.service == service
        }
        if service == SUBSCRIBER:
            handlers["StreamingPull"] = _streaming_handler(api)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _handler(method: Method, api: PubSubApi) -> "grpc.RpcMethodHandler[Any, Any]":
    return grpc.unary_unary_rpc_method_handler(
        _answering(method, api),
        request_deserializer=_deserializer(method.request),
        response_serializer=_serializer(method.response),
    )


def _answering(method: Method, api: PubSubApi) -> Callable[[Any, _Context], Awaitable[Any]]:
    async def answer(request: Any, context: _Context) -> Any:  # noqa: ANN401
        try:
            return await access.answer(api, method, request, _caller(context))
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets a status
            await status.abort(context, error)

    return answer


def _streaming_handler(api: PubSubApi) -> "grpc.RpcMethodHandler[Any, Any]":
    async def answer(
        requests: AsyncIterator[types.StreamingPullRequest], context: _Context
    ) -> AsyncIterator[types.StreamingPullResponse]:
        try:
            async for response in stream(api, requests, _caller(context)):
                yield response
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets a status
            await status.abort(context, error)

    return grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=types.StreamingPullRequest.deserialize,
        response_serializer=types.StreamingPullResponse.serialize,
    )


def _caller(context: _Context) -> str:
    return caller_of(context.invocation_metadata() or ())


def _deserializer(request: Any) -> Callable[[bytes], Any]:  # noqa: ANN401
    if issubclass(request, ProtobufMessage):
        return request.FromString  # type: ignore[no-any-return]
    return request.deserialize  # type: ignore[no-any-return]


def _serializer(response: Any) -> Callable[[Any], bytes]:  # noqa: ANN401
    if issubclass(response, ProtobufMessage):
        return response.SerializeToString  # type: ignore[no-any-return]
    return response.serialize  # type: ignore[no-any-return]
