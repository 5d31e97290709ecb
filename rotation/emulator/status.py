"""How an embedded service says no: one error, the same over gRPC and REST.

It never decides when to refuse; stores do.

1. The code and the message are the service's own, word for word: clients tell cases apart by them.
2. Anything that is not a `StatusError` is a fault of ours: INTERNAL, without its text, which
   might quote a payload.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

_HTTP_STATUS: Final[Mapping[grpc.StatusCode, int]] = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class StatusError(Exception):
    """A request refused with a canonical status code."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The HTTP status Google's services answer for this code."""
        return _HTTP_STATUS.get(self.code, 500)

    @property
    def status(self) -> str:
        """The code's name, such as ``FAILED_PRECONDITION``."""
        return str(self.code.name)


def invalid(message: str) -> StatusError:
    """INVALID_ARGUMENT: the request is wrong whatever is stored."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def failed_precondition(message: str) -> StatusError:
    """FAILED_PRECONDITION: the request is wrong for what is stored now."""
    return StatusError(grpc.StatusCode.FAILED_PRECONDITION, message)


def not_found(message: str) -> StatusError:
    """NOT_FOUND: what the request names is not there."""
    return StatusError(grpc.StatusCode.NOT_FOUND, message)


def already_exists(message: str) -> StatusError:
    """ALREADY_EXISTS: what the request would create is there."""
    return StatusError(grpc.StatusCode.ALREADY_EXISTS, message)


def status_of(error: Exception) -> StatusError:
    """Return the error itself, or INTERNAL without its text when it is a fault of ours."""
    if isinstance(error, StatusError):
        return error
    return StatusError(grpc.StatusCode.INTERNAL, "Internal error encountered.")


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> NoReturn:
    """End a gRPC call with the error's code and message."""
    refusal = status_of(error)
    await context.abort(refusal.code, refusal.message)
    raise AssertionError  # abort() raised


def rest_body(error: Exception) -> dict[str, dict[str, str | int]]:
    """Return the JSON body Google's REST endpoints answer for the error."""
    refusal = status_of(error)
    return {
        "error": {
            "code": refusal.http_status,
            "message": refusal.message,
            "status": refusal.status,
        }
    }
