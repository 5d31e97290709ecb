"""The control API under ``/embedded/v1/``: failures, quotas, counters, the clock.

It is for tests and demonstrations; the real service has none of it.  The module docstring of
`rotation.emulator.secretmanager` lists the requests.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rotation.emulator.secretmanager.dispatcher import Dispatcher
from rotation.emulator.secretmanager.failures import Failure
from rotation.emulator.secretmanager.quotas import Limits
from rotation.emulator.secretmanager.rpcs import RPCS
from rotation.emulator.status import StatusError, invalid, rest_body

_Answer = Any
_Handler = Callable[[Request], Awaitable[_Answer]]


class _Step(msgspec.Struct, forbid_unknown_fields=True):
    advance_seconds: Annotated[float, msgspec.Meta(ge=0, le=3.2e9)]


def control_routes(dispatcher: Dispatcher) -> list[BaseRoute]:
    """Return the Starlette routes of the control API."""
    controls = _Controls(dispatcher)
    table: list[tuple[str, str, _Handler]] = [
        ("GET", "failures", controls.list_failures),
        ("POST", "failures", controls.add_failure),
        ("DELETE", "failures", controls.clear_failures),
        ("DELETE", "failures/{failure_id:int}", controls.clear_failures),
        ("GET", "quotas", controls.show_quotas),
        ("PUT", "quotas", controls.set_quotas),
        ("GET", "calls", controls.show_calls),
        ("DELETE", "calls", controls.reset_calls),
        ("GET", "clock", controls.show_clock),
        ("POST", "clock", controls.advance_clock),
        ("POST", "due", controls.run_due),
    ]
    return [
        Route(f"/embedded/v1/{path}", _served(handler), methods=[method])
        for method, path, handler in table
    ]


def _served(handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
    async def serve(http: Request) -> Response:
        try:
            body, status = await handler(http), 200
        except msgspec.ValidationError as error:
            refusal = invalid(str(error))
            body, status = rest_body(refusal), refusal.http_status
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            refusal = invalid("the body is not JSON")
            body, status = rest_body(refusal), refusal.http_status
        except StatusError as error:
            body, status = rest_body(error), error.http_status
        return Response(msgspec.json.encode(body), status, media_type="application/json")

    return serve


class _Controls:
    """One method per request of the control API."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def list_failures(self, _http: Request) -> _Answer:
        active = self._dispatcher.failures.active
        return {"failures": [{"id": i, **msgspec.to_builtins(f)} for i, f in active.items()]}

    async def add_failure(self, http: Request) -> _Answer:
        failure = msgspec.json.decode(await http.body(), type=Failure)
        if failure.method != "*" and failure.method not in RPCS:
            raise invalid(f"unknown method {failure.method!r}; one of: {', '.join(RPCS)}")
        return {"id": self._dispatcher.failures.add(failure)}

    async def clear_failures(self, http: Request) -> _Answer:
        self._dispatcher.failures.clear(http.path_params.get("failure_id"))
        self._dispatcher.release()
        return {}

    async def show_quotas(self, _http: Request) -> _Answer:
        return self._dispatcher.quotas.limits

    async def set_quotas(self, http: Request) -> _Answer:
        self._dispatcher.quotas.limits = msgspec.json.decode(await http.body(), type=Limits)
        return self._dispatcher.quotas.limits

    async def show_calls(self, _http: Request) -> _Answer:
        return {"calls": dict(self._dispatcher.calls)}

    async def reset_calls(self, _http: Request) -> _Answer:
        calls = dict(self._dispatcher.calls)
        self._dispatcher.calls.clear()
        return {"calls": calls}

    async def show_clock(self, _http: Request) -> _Answer:
        clock = self._dispatcher.store.clock
        return {"now": clock.now(), "offset_seconds": clock.offset.total_seconds()}

    async def advance_clock(self, http: Request) -> _Answer:
        step = msgspec.json.decode(await http.body(), type=_Step)
        store = self._dispatcher.store
        store.clock.advance(timedelta(seconds=step.advance_seconds))
        store.notify()
        return await self.show_clock(http)

    async def run_due(self, _http: Request) -> _Answer:
        now, schedule = self._dispatcher.store.clock.now(), self._dispatcher.schedule
        return {"ended": schedule.expire_due(now), "fired": schedule.fire_due(now)}
