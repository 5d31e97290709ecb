"""The command ``rotate``: ask for a routine rotation.

1. It ends when consumers, or those of the first stage, get the next version; the rest goes on by
   itself.
2. A request that meets a rotation in flight is kept for after it; that is an answer too.
3. So is one that meets a pause: it is kept until somebody resumes.
4. A blocked secret is not asked: the worker would wait for a person.
"""

from typing import Any, Final

import click

from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.requesting import request, request_options
from rotation.cli.views.asking import Asked, Verdict, unless_blocked
from rotation.cli.views.failures import NO
from rotation.cli.views.wording import next_step
from rotation.engine.snapshot import Snapshot
from rotation.machine import pausing
from rotation.model.errors import POLICY_REASONS, PermanentError
from rotation.model.phase import Phase
from rotation.model.rotation import Record, State
from rotation.model.wakeup import Ask


def _refuse_blocked(snapshot: Snapshot) -> None:
    block = snapshot.block
    # The policy was read without a fault just now, so a block for it is over.
    if block is not None and block.reason not in POLICY_REASONS:
        raise PermanentError(
            f"{snapshot.short} is blocked: {block.reason}: {block.message}",
            remedy=next_step(block, snapshot),
            reason="blocked",
        )


@unless_blocked
def _judge(asked: Asked, snapshot: Snapshot, state: State) -> Verdict | None:
    record, receipt = state.record, state.receipt
    if receipt and receipt.request_id == asked.id:
        if receipt.outcome == "rotated":
            return Verdict("rotated", f"version {receipt.current} is in force")
        return Verdict(receipt.outcome, f"{receipt.outcome}: {receipt.why}", NO)
    if record is not None:
        return _judge_flight(asked, state.phase, record)
    kept = state.pause.again if state.paused and state.pause else None
    if kept is not None and (kept.id == asked.id or kept.at >= asked.before.now):
        sentence = (
            f"{pausing.message(state)}; the request is kept until: rotation resume {snapshot.short}"
        )
        return Verdict("kept", sentence)
    return None


def _judge_flight(asked: Asked, phase: Phase, record: Record) -> Verdict | None:
    if record.request_id == asked.id:
        if record.published_at is None or record.reverted or phase is Phase.VOTING:
            return None
        if phase is Phase.ROLLING_OUT:
            sentence = f"stage {record.stage} gets version {record.next}; the others follow"
            return Verdict("rolling-out", f"{sentence}: rotation watch shows it")
        old = f"; version {record.previous} works until it is retired" if record.previous else ""
        return Verdict("rotated", f"version {record.next} is in force{old}")
    if record.again is not None:
        ours = record.again.id == asked.id
        which = "the request" if ours else "an earlier request"
        return Verdict("queued", f"{which} is served when rotation {record.id} has settled")
    return None


KIND: Final = Kind(
    ask=Ask.ROUTINE,
    judge=_judge,
    writes=3,
    does="rotate the credential of",
    refuse=_refuse_blocked,
)


@click.command()
@request_options(KIND)
@click.pass_context
def rotate(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - the options of `request`
    """Ask for a rotation of each SECRET, and follow it until consumers get the next version.

    With a --filter, or several secrets: as for an emergency, shown first, paced and resumable.
    """
    request(ctx, KIND, **given)
