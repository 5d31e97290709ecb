"""Secret Manager over REST: HTTP requests turned into calls of the table, and back.

It knows paths, query parameters and JSON; what a call does is decided elsewhere.

1. Errors are JSON: ``{"error": {"code", "message", "status"}}``.
2. Parameters that steer Google's front end (``alt``, ``prettyPrint``, ``key``...) are ignored,
   except that ``enum-encoding=int`` is honoured.
3. Answers leave out what is empty, false or zero, and spell int64 as strings.
"""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rotation.emulator.iam import caller_of
from rotation.emulator.secretmanager.dispatcher import Dispatcher
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.rest_json import fill, fill_from_query, read_body
from rotation.emulator.secretmanager.rpcs import RPCS, Rpc
from rotation.emulator.status import StatusError, not_found, rest_body, status_of

logger: Final = logging.getLogger(__name__)

_PROJECT: Final = r"projects/[^/]+?"
_PARENT: Final = _PROJECT + r"(?:/locations/[^/:]+)?"
_COLLECTIONS: Final[Mapping[str, str]] = {
    "project": _PARENT,
    "location": _PROJECT + r"/locations/[^/:]+",
    "secret": _PARENT + r"/secrets/[^/:]+",
    "version": _PARENT + r"/secrets/[^/:]+/versions/[^/:]+",
}
_FRONT_END: Final = frozenset(
    {"alt", "$alt", "prettyPrint", "$prettyPrint", "key", "fields", "quotaUser", "callback",
     "access_token", "oauth_token", "uploadType", "$.xgafv"}
)  # fmt: skip


@dataclass(frozen=True)
class _Binding:
    pattern: re.Pattern[str]
    rpc: Rpc


_BINDINGS: Final = [
    _Binding(
        re.compile(
            f"{rpc.rest.method} /v1/(?P<name>{_COLLECTIONS[rpc.rest.collection]})"
            + re.escape(rpc.rest.suffix)
        ),
        rpc,
    )
    for rpc in RPCS.values()
]


def rest_routes(dispatcher: Dispatcher) -> list[BaseRoute]:
    """Return the Starlette routes that serve every call under ``/v1/``."""

    async def serve(http: Request) -> Response:
        try:
            rpc, name = _resolve(http)
            request, caller = await _decode(rpc, name, http), caller_of(http.headers.items())
            response = await dispatcher.call(rpc, request, caller)
            return _answer(_encode(response, http))
        except StatusError as error:
            refusal: Exception = error
        except Exception as error:
            logger.exception("%s failed", http.method)
            refusal = error
        return _answer(rest_body(refusal), status_of(refusal).http_status)

    return [Route("/v1/{path:path}", serve, methods=["GET", "POST", "PATCH", "DELETE", "PUT"])]


def _resolve(http: Request) -> tuple[Rpc, str]:
    for binding in _BINDINGS:
        match = binding.pattern.fullmatch(f"{http.method} {http.url.path}")
        if match:
            return binding.rpc, match["name"]
    raise not_found("The requested URL was not found on this server.")


async def _decode(rpc: Rpc, name: str, http: Request) -> Message:
    request = rpc.request()
    parameters = [(k, v) for k, v in http.query_params.multi_items() if k not in _FRONT_END]
    fill_from_query(request, parameters)
    body = read_body(await http.body()) if rpc.rest.body else {}
    if rpc.rest.body == "*":
        fill(request, body)
    elif rpc.rest.body:
        target = getattr(request, rpc.rest.body)
        target.SetInParent()
        fill(target, body, rpc.rest.body)
    _set_resource(request, rpc.resource, name)
    return request


def _set_resource(request: Message, path: str, name: str) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        request = getattr(request, parent)
    setattr(request, last, name)


def _encode(response: Message, http: Request) -> Mapping[str, object]:
    as_integers = "enum-encoding=int" in http.query_params.get("$alt", "")
    return json_format.MessageToDict(response, use_integers_for_enums=as_integers)


def _answer(body: Mapping[str, object], status: int = 200) -> Response:
    return Response(
        json.dumps(body, indent=2, ensure_ascii=False) + "\n",
        status,
        media_type="application/json; charset=UTF-8",
    )
