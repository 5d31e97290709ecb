"""Turn failure modes on and off, and look at backlogs, over HTTP.

Not part of Google's API: everything is under ``/embedded/v1/pubsub``.

1. ``PATCH failures`` sets the modes named in the body and leaves the others; ``DELETE`` ends all.
2. Body keys are those that ``GET failures`` shows; an unknown one is INVALID_ARGUMENT.
3. ``GET backlog`` says per subscription how many messages are undelivered and how many of those
   are being delivered now.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rotation.emulator.bodies import parse_json
from rotation.emulator.pubsub.broker import Broker
from rotation.emulator.pubsub.failures import Failures
from rotation.emulator.status import StatusError, invalid, rest_body

_PREFIX: Final = "/embedded/v1/pubsub"


def control_routes(broker: Broker) -> list[Route]:
    """Return the routes of the control API."""

    async def show(_request: Request) -> Response:
        return JSONResponse(broker.failures.snapshot())

    async def change(request: Request) -> Response:
        try:
            set_failures(broker.failures, parse_json(await request.body()))
        except StatusError as error:
            return JSONResponse(rest_body(error), status_code=error.http_status)
        except (ValueError, TypeError, AttributeError, KeyError):
            return JSONResponse(rest_body(invalid("Invalid JSON payload.")), status_code=400)
        broker.changed()
        return JSONResponse(broker.failures.snapshot())

    async def clear(_request: Request) -> Response:
        broker.failures.clear()
        broker.changed()
        return JSONResponse(broker.failures.snapshot())

    async def backlog(_request: Request) -> Response:
        return JSONResponse(broker.backlog())

    return [
        Route(f"{_PREFIX}/failures", show, methods=["GET"]),
        Route(f"{_PREFIX}/failures", change, methods=["PATCH"]),
        Route(f"{_PREFIX}/failures", clear, methods=["DELETE"]),
        Route(f"{_PREFIX}/backlog", backlog, methods=["GET"]),
    ]


def set_failures(failures: Failures, wanted: dict[str, Any]) -> None:
    """Set the modes named in ``wanted``, which has the shape of `Failures.snapshot`."""
    unknown = wanted.keys() - failures.snapshot().keys()
    if unknown:
        raise invalid(f"There is no failure mode {min(unknown)}.")
    for subscription, copies in wanted.get("duplicate", {}).items():
        failures.duplicate(int(copies), subscription)
    for subscription, count in wanted.get("loseAcks", {}).items():
        failures.lose_acks(int(count), subscription)
    if "hold" in wanted:
        failures.release()
        for subscription in wanted["hold"]:
            failures.hold(subscription)
    for topic, refusal in wanted.get("refusePublish", {}).items():
        failures.refuse_publish(refusal["code"], topic, refusal.get("times"))
