"""One embedded Secret Manager, spoken to over gRPC and REST alike.

Both surfaces are driven by the table of calls, so that a test can take either for each step.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import grpc
import httpx
from google.protobuf import json_format

from rotation.emulator.secretmanager.rpcs import RPCS, Rpc

#: Status codes and the HTTP status Google answers for each
#: (https://cloud.google.com/apis/design/errors).
HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}

#: Status name (``OK`` or a refusal's), the answer or the refusal's message.
Answer = tuple[str, Any]


def check_error(response: httpx.Response) -> str:
    """Hold a refusal to Google's shape; return the name of its status."""
    error = response.json()["error"]
    assert set(error) == {"code", "message", "status"}
    assert error["code"] == response.status_code == HTTP_STATUS[error["status"]]
    assert error["message"]
    return str(error["status"])


class Rest:
    """The REST surface."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, timeout=60)

    def call(self, name: str, request: Mapping[str, Any]) -> Answer:
        rpc = RPCS[name]
        fields = dict(request)
        resource = _taken(fields, rpc.resource)
        body = _body(rpc, fields)
        mask = fields.pop("updateMask", None)
        parameters = (
            {key: str(value) for key, value in fields.items()} if body is not fields else {}
        )
        if mask is not None:
            parameters["updateMask"] = mask
        response = self.http.request(
            rpc.rest.method,
            f"/v1/{quote(resource)}{rpc.rest.suffix}",
            params=parameters,
            json=body,
        )
        if response.is_error:
            return check_error(response), response.json()["error"]["message"]
        return "OK", response.json()

    def close(self) -> None:
        self.http.close()


def _taken(fields: dict[str, Any], path: str) -> str:
    """Take the resource's name out of a request."""
    *parents, last = path.split(".")
    for parent in parents:
        fields[parent] = fields = dict(fields[parent])
    return str(fields.pop(last))


def _body(rpc: Rpc, fields: dict[str, Any]) -> Any:
    if not rpc.rest.body:
        return None
    return fields if rpc.rest.body == "*" else fields.pop(rpc.rest.body)


class Grpc:
    """The gRPC surface."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address)

    def call(self, name: str, request: Mapping[str, Any]) -> Answer:
        rpc = RPCS[name]
        stub = self.channel.unary_unary(
            f"/{rpc.service}/{rpc.name}",
            request_serializer=rpc.request.SerializeToString,
            response_deserializer=rpc.response.FromString,
        )
        message = json_format.ParseDict(request, rpc.request())
        try:
            response = stub(message, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, error.details()
        return "OK", json_format.MessageToDict(response)

    def close(self) -> None:
        self.channel.close()
