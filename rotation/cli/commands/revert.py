"""The command ``revert``: send consumers back to the previous version.

1. Possible until the previous credential is revoked; after that the way back is a new rotation.
2. It ends when the rotation has settled: *next* is forgotten then.
"""

from typing import Any, Final

import click

from rotation.cli.campaign.command import campaign_options, choices, is_campaign, run
from rotation.cli.campaign.kind import Kind
from rotation.cli.views.asking import Asked, Verdict, ask, asking_options, blocked_anew, manner
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.failures import NO
from rotation.cli.views.selecting import filter_option, find_managed
from rotation.engine.snapshot import Snapshot
from rotation.machine import transitions
from rotation.model.errors import PermanentError
from rotation.model.phase import Event, Phase
from rotation.model.rotation import State
from rotation.model.wakeup import Ask

_GOING_BACK = frozenset({Phase.REVERTING, Phase.ABORTING})


@click.command()
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
@filter_option
@campaign_options
@asking_options
@json_option
@click.pass_context
def revert(
    ctx: click.Context,
    /,
    secrets: tuple[str, ...],
    matching: str,
    reason: str,
    requested_by: str,
    timeout: float | None,
    *,
    wait: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Send consumers of each SECRET back to the previous version, while it still works.

    With a --filter, or several secrets: as for an emergency, shown first, paced and resumable.
    """
    context = ctx.ensure_object(Context)
    chosen = choices(matching, options)
    how = manner(reason, requested_by, timeout, wait=wait)
    if is_campaign(secrets, chosen):
        ctx.exit(run(context, KIND, secrets, chosen, how))
    before = find_managed(context, secrets[0])
    _refuse_too_late(before)
    ctx.exit(ask(context, before, Ask.REVERT, how, _judge))


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


def _judge(asked: Asked, snapshot: Snapshot) -> Verdict | None:
    state, before = snapshot.state, asked.before.state
    if blocked := blocked_anew(asked, snapshot):
        return blocked
    if state is None or before is None:
        return None
    mine = before.in_flight.id
    receipt = state.receipt
    if receipt and receipt.id == mine:
        if receipt.outcome == "rotated":
            return _too_late(receipt.current)
        told = f"version {receipt.current} is in force again"
        if receipt.previous:
            told += f"; version {receipt.previous} is disabled"
        if state.record:
            told += f"; rotation {state.record.id}, asked for meanwhile, has begun"
        return Verdict(receipt.outcome, told)
    if state.record and state.record.id == mine and state.record.revoked_at:
        return _too_late(state.record.next)
    return None


def _too_late(current: int | None) -> Verdict:
    told = f"too late: the previous credential is revoked, and version {current} is in force"
    return Verdict("too-late", told, NO)


KIND: Final = Kind(
    ask=Ask.REVERT,
    judge=_judge,
    writes=6,
    does="send consumers back to the previous version of",
    refuse=_refuse_too_late,
)
