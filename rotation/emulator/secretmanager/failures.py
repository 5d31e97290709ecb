"""Failures that can be switched on while the server runs.

It keeps them and says which apply to a call; the dispatcher makes them happen.

1. A failure applies to one method or to all (``*``), after ``after`` matching calls were let
   through, ``count`` times or until it is cleared.
2. Several failures may apply to one call: waits add up, the first refusal wins.
3. A stale read never makes an access by number stale, nor a write: the ETag check of a write is
   authoritative.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated

import msgspec

from rotation.emulator.secretmanager.history import FRESH, View
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.rpcs import Kind, Rpc

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Mode(Enum):
    """What goes wrong."""

    #: Answered UNAVAILABLE; nothing was done.
    UNAVAILABLE = "unavailable"
    #: Done, and answered UNAVAILABLE all the same.
    COMMITTED_UNAVAILABLE = "committed-unavailable"
    #: Answered RESOURCE_EXHAUSTED; nothing was done.
    EXHAUSTED = "exhausted"
    #: Answered PERMISSION_DENIED, where the call needs ``permission`` (or any, if empty).
    DENIED = "denied"
    #: Never answered; nothing was done.
    BLACK_HOLE = "black-hole"
    #: Done, and never answered.
    COMMITTED_BLACK_HOLE = "committed-black-hole"
    #: Answered ``seconds`` late.
    LATENCY = "latency"
    #: Reads get the state of ``writes`` writes (or ``seconds`` seconds) ago.
    STALE = "stale"


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One failure, as it is switched on."""

    mode: Mode
    method: str = "*"
    #: How many calls it applies to; None: until cleared.
    count: _Count | None = None
    #: How many matching calls are let through first.
    after: _Count = 0
    seconds: _Seconds = 0.0
    writes: _Count = 0
    #: Such as ``secretmanager.versions.access``.
    permission: str = ""

    def applies_to(self, rpc: Rpc, request: Message) -> bool:
        """Return whether a call is of the kind that shall fail."""
        if self.method not in {"*", rpc.name}:
            return False
        if self.mode is Mode.DENIED and self.permission:
            return self.permission == f"secretmanager.{rpc.permission}"
        return self.mode is not Mode.STALE or _may_be_stale(rpc, request)

    def view(self) -> View:
        """How old a stale read is: one write, unless it was set."""
        if not self.seconds and not self.writes:
            return View(writes=1)
        return View(self.seconds, self.writes)


def _may_be_stale(rpc: Rpc, request: Message) -> bool:
    if rpc.kind is Kind.ACCESS:
        return not str(request.name).rpartition("/")[2].isdecimal()
    return rpc.kind is Kind.READ


class Failures:
    """The failures that are switched on, by id, in the order they were added."""

    def __init__(self) -> None:
        self._active: dict[int, Failure] = {}
        self._next_id = 1

    @property
    def active(self) -> dict[int, Failure]:
        """The failures still to come."""
        return dict(self._active)

    def add(self, failure: Failure) -> int:
        """Switch a failure on; return its id."""
        failure_id, self._next_id = self._next_id, self._next_id + 1
        self._active[failure_id] = failure
        return failure_id

    def clear(self, failure_id: int | None = None) -> None:
        """Switch one failure off, or all; one that is off already stays off."""
        if failure_id is None:
            self._active.clear()
        else:
            self._active.pop(failure_id, None)

    def take(self, rpc: Rpc, request: Message) -> Sequence[Failure]:
        """Return what goes wrong with this call, and count it."""
        if not self._active:
            return ()
        matching = [
            (failure_id, failure)
            for failure_id, failure in self._active.items()
            if failure.applies_to(rpc, request)
        ]
        return [failure for failure_id, failure in matching if self._counted(failure_id, failure)]

    def _counted(self, failure_id: int, failure: Failure) -> bool:
        if failure.after:
            self._active[failure_id] = msgspec.structs.replace(failure, after=failure.after - 1)
            return False
        if failure.count is None:
            return True
        if failure.count > 1:
            self._active[failure_id] = msgspec.structs.replace(failure, count=failure.count - 1)
        else:
            del self._active[failure_id]
        return failure.count > 0

    def denied_permissions(self) -> set[str]:
        """Return the permissions that are switched off."""
        return {f.permission for f in self._active.values() if f.mode is Mode.DENIED}


def view_of(failures: Sequence[Failure]) -> View:
    """Return how old the state is that a call gets."""
    stale = [failure for failure in failures if failure.mode is Mode.STALE]
    return stale[0].view() if stale else FRESH
