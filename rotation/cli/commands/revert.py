"""The command ``revert``: send consumers back to the previous version.

1. Possible until the previous credential is revoked; after that the way back is a new rotation.
2. It ends when the rotation has settled: *next* is forgotten then.
"""

from typing import Any, Final

import click

from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.requesting import request, request_options
from rotation.cli.views.asking import Asked, Verdict, unless_blocked
from rotation.cli.views.failures import NO
from rotation.engine.snapshot import Snapshot
from rotation.machine import transitions
from rotation.model.errors import PermanentError
from rotation.model.phase import Event, Phase
from rotation.model.rotation import State
from rotation.model.wakeup import Ask

_GOING_BACK = frozenset({Phase.REVERTING, Phase.ABORTING})


def _refuse_too_late(snapshot: Snapshot) -> None:
    state = snapshot.state
    if state is None or state.record is None:
        raise PermanentError(
            f"{snapshot.short} is settled: there is no rotation to go back from",
            remedy=f"to replace the credential in force: rotation rotate {snapshot.short}",
            reason="settled",
        )
    if not _can_go_back(state):
        raise PermanentError(
            f"{snapshot.short} is {state.phase.value}: the previous credential is revoked",
            remedy=f"the way back is a new rotation: rotation rotate {snapshot.short}",
            reason="too-late",
        )


def _can_go_back(state: State) -> bool:
    events = (Event.REFUSED, Event.REVERT_ASKED)
    can_turn = any(transitions.can_follow(state.phase, event) for event in events)
    return can_turn or state.phase in _GOING_BACK


@unless_blocked
def _judge(asked: Asked, _snapshot: Snapshot, state: State) -> Verdict | None:
    mine, receipt = asked.before.readable_state().in_flight.id, state.receipt
    if receipt and receipt.id == mine:
        if receipt.outcome == "rotated":
            return _too_late(receipt.current)
        sentence = f"version {receipt.current} is in force again"
        if receipt.previous:
            sentence += f"; version {receipt.previous} is disabled"
        if state.record:
            sentence += f"; rotation {state.record.id}, asked for meanwhile, has begun"
        return Verdict(receipt.outcome, sentence)
    if state.record and state.record.id == mine and state.record.revoked_at:
        return _too_late(state.record.next)
    return None


def _too_late(current: int | None) -> Verdict:
    sentence = f"too late: the previous credential is revoked, and version {current} is in force"
    return Verdict("too-late", sentence, NO)


KIND: Final = Kind(
    ask=Ask.REVERT,
    judge=_judge,
    writes=6,
    does="send consumers back to the previous version of",
    refuse=_refuse_too_late,
)


@click.command()
@request_options(KIND)
@click.pass_context
def revert(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - the options of `request`
    """Send consumers of each SECRET back to the previous version, while it still works.

    With a --filter, or several secrets: as for an emergency, shown first, paced and resumable.
    """
    request(ctx, KIND, **given)
