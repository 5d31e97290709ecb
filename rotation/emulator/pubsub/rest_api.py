"""Serve `METHODS` over REST JSON, as gcloud speaks it.

It decides nothing; refusals come from the broker as `StatusError`.

1. A request is the JSON body, the paging fields of the query, and the name in the path.
2. Both JSON spellings are read, camelCase is written; an unknown field is INVALID_ARGUMENT.
3. The control API of the failure modes is served beside it, see `control`; and so are the
   certificates that tokens of pushes are signed under, where Google has them.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from google.protobuf import json_format
from google.protobuf.message import Message as ProtobufMessage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rotation.emulator.bodies import parse_json
from rotation.emulator.iam import caller_of
from rotation.emulator.pubsub import access
from rotation.emulator.pubsub.api import PubSubApi
from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.control import control_routes
from rotation.emulator.pubsub.methods import METHODS, Method
from rotation.emulator.status import StatusError, invalid, rest_body, status_of

#: Path of the certificates, as on ``www.googleapis.com``.
CERTIFICATES: Final = "/oauth2/v1/certs"
_QUERY_FIELDS: Final = frozenset({"pageSize", "pageToken"})


def rest_app(broker: Broker) -> Starlette:
    """Return an application of its own that serves Pub/Sub and its control API."""
    return Starlette(routes=rest_routes(broker))


def rest_routes(broker: Broker) -> list[Route]:
    """Return the routes, to be mounted at the root beside other services'."""
    api = PubSubApi(broker)
    routes = [
        Route(
            f"/v1/{method.resource}{method.suffix}", _endpoint(method, api), methods=[method.verb]
        )
        for method in METHODS
    ]
    # A suffix is the more special path: it must be asked first.
    routes.sort(key=lambda route: ":" not in route.path)
    return [*routes, *control_routes(broker), Route(CERTIFICATES, _certificates(broker))]


def _certificates(broker: Broker) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_request: Request) -> Response:
        return JSONResponse(broker.signer.certificates())

    return answer


def _endpoint(method: Method, api: PubSubApi) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            asked, caller = await _read(method, request), caller_of(request.headers.items())
            response = await access.answer(api, method, asked, caller)
        except Exception as error:  # noqa: BLE001 - whatever it was, the client gets a status
            return JSONResponse(rest_body(error), status_code=status_of(error).http_status)
        return JSONResponse(_written(response))

    return answer


async def _read(method: Method, request: Request) -> Any:  # noqa: ANN401
    fields = await _body(request)
    fields |= {name: value for name, value in request.query_params.items() if name in _QUERY_FIELDS}
    *parents, last = method.bound.split(".")
    holder = fields
    for parent in parents:
        holder = holder.setdefault(parent, {})
        if not isinstance(holder, dict):
            raise _not_json()
    holder[last] = method.resource.format(**request.path_params)
    asked = method.request()
    is_plain = isinstance(asked, ProtobufMessage)
    message = asked if is_plain else method.request.pb(asked)
    try:
        json_format.ParseDict(fields, message)
    except (json_format.ParseError, TypeError, ValueError, AttributeError):
        raise invalid("Invalid JSON payload received.") from None
    return message if is_plain else method.request.wrap(message)


async def _body(request: Request) -> dict[str, Any]:
    text = await request.body()
    try:
        fields = parse_json(text) if text.strip() else {}
    except ValueError:
        raise _not_json() from None
    if not isinstance(fields, dict):
        raise _not_json()
    return cast("dict[str, Any]", fields)


def _not_json() -> StatusError:
    return invalid("Invalid JSON payload received.")


def _written(response: Any) -> dict[str, Any]:  # noqa: ANN401
    is_plain = isinstance(response, ProtobufMessage)
    message = response if is_plain else type(response).pb(response)
    return json_format.MessageToDict(message)
