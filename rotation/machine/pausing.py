"""Decide what a pause holds, and which of several requests about it is the last.

A pause is for the time of an incident: nothing new starts, and what is in flight goes no further
than its next wait, where the previous and the next credential both work.

Rules of this module:
  1. Emergencies and all ways back are never held.
  2. Only waits are held.  What is being done, or was interrupted while it was, is done to its end:
     half done is the one state in which consumers could notice.
  3. The request that was published last counts, however late and often they are delivered; of two
     that were published at once, the pause.
"""

from datetime import timedelta

from msgspec.structs import replace

from rotation.model.phase import Event, Phase
from rotation.model.rotation import Pause, Record, State
from rotation.model.wakeup import Ask, Request, claimed

#: What asks for it, or for its end.
REQUESTS = frozenset({Ask.PAUSE, Ask.RESUME})

#: How many requests are known by their ids.
KEPT_IDS = 8

#: Phases that wait, and are not a way back.
_HELD = frozenset(
    {
        Phase.VOTING,
        Phase.ROLLING_OUT,
        Phase.SOAKING,
        Phase.SUSPENDING,
        Phase.OBSERVING,
        Phase.DESTROYING,
    }
)

#: Events that hand *next* to more consumers, or take something away from those of *previous*.
_NOT_FOLLOWED = frozenset({Event.PREPARED, Event.STAGE_PROVEN, Event.SOAKED, Event.WATCHED})


def apply_pause_request(state: State, request: Request) -> State | None:
    """Return the state after a request to pause or resume; None: an older one, or a repeat."""
    pause, wanted = state.pause, request.mode is Ask.PAUSE
    if pause is not None and (
        request.id in pause.request_ids or (request.at, wanted) <= (pause.at, pause.paused)
    ):
        return None
    before = pause or Pause(paused=False, at=request.at)
    after = replace(
        before,
        paused=wanted,
        at=request.at,
        since=((before.paused and before.since) or request.at) if wanted else None,
        reason=request.reason,
        requested_by=request.requested_by,
        request_ids=(*before.request_ids, request.id)[-KEPT_IDS:],
    )
    return replace(state, pause=after, record=_with_time_back(state, after))


def _with_time_back(state: State, after: Pause) -> Record | None:
    """Return the record; participants get the time of the pause on top of their deadlines."""
    record, since = state.record, state.pause.since if state.pause else None
    if after.paused or record is None or record.asked_at is None or since is None:
        return record
    lost = max(after.at - max(since, record.asked_at), timedelta())
    return replace(record, asked_at=record.asked_at + lost)


def keep(state: State, request: Request) -> State | None:
    """Return the state that keeps a request until the pause is over; None: it does already.

    One rotation will serve all that were kept, so the newest stands for them.
    """
    pause = state.pause
    if pause is None or (pause.again is not None and request.at <= pause.again.at):
        return None
    return replace(state, pause=replace(pause, again=request))


def holds(state: State) -> bool:
    """Whether a pause keeps the rotation in flight where it is, once it waits."""
    record = state.record
    return state.paused and state.phase in _HELD and not (record and record.urgent)


def holds_back(state: State, event: Event) -> bool:
    """Whether a pause that began while a phase was carried out keeps ``event`` from following."""
    return holds(state) and event in _NOT_FOLLOWED


def message(state: State) -> str:
    """Say that it is paused, and by whom."""
    pause = state.pause
    by = f" by {claimed(pause.requested_by)}" if pause and pause.requested_by else ""
    why = f": {pause.reason}" if pause and pause.reason else ""
    return f"paused{by}{why}"
