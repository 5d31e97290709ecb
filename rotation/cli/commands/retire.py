"""The command ``retire``: retire the previous credential now, without waiting for the soak to end.

1. It skips time, never a look: sessions on the previous credential, or an observer that cannot see,
   hold it up, and the answer says which.
2. It ends when the previous credential is revoked, or when a look has found an obstacle.
"""

import click

from rotation.cli.views import wording
from rotation.cli.views.asking import (
    Asked,
    Verdict,
    ask,
    asking_options,
    checked_options,
    unless_blocked,
)
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.failures import NO
from rotation.cli.views.selecting import find_managed
from rotation.engine.snapshot import Snapshot
from rotation.machine import decide, pausing
from rotation.model.errors import PermanentError
from rotation.model.rotation import State
from rotation.model.wakeup import Ask


@click.command()
@click.argument("secret")
@click.option("--now", is_flag=True, help="Required: say that you do not want to wait.")
@asking_options
@json_option
@click.pass_context
def retire(
    ctx: click.Context,
    secret: str,
    reason: str,
    requested_by: str,
    timeout: float,
    *,
    now: bool,
    wait: bool,
) -> None:
    """Retire the previous credential of SECRET now, if no use of it is observed.

    Without this it is retired by itself, when the soak and the time of observation of the policy
    are over. Once it is revoked there is no way back to it.
    """
    if not now:
        raise click.UsageError("it is retired by itself in time; to not wait for that, add --now")
    context = ctx.ensure_object(Context)
    options = checked_options(reason, requested_by, timeout, wait=wait)
    before = find_managed(context, secret)
    _refuse(before)
    ctx.exit(ask(context, before, Ask.RETIRE, options, _judge))


def _refuse(snapshot: Snapshot) -> None:
    state, short = snapshot.state, snapshot.short
    if state is None or state.record is None:
        raise PermanentError(f"{short} is settled: there is nothing to retire", reason="settled")
    if state.phase not in decide.RETIRES:
        why = decide.why_not_retired(state.phase)
        raise PermanentError(f"{short} is {state.phase.value}: {why}", reason="not-now")
    if pausing.holds(state):
        raise PermanentError(
            f"{short} is {pausing.message(state)}",
            remedy=f"first: rotation resume {short}",
            reason="paused",
        )
    if snapshot.block is not None:
        raise PermanentError(
            f"{short} is blocked: {snapshot.block.message}",
            remedy=wording.next_step(snapshot.block, snapshot),
            reason="blocked",
        )


@unless_blocked
def _judge(asked: Asked, snapshot: Snapshot, state: State) -> Verdict | None:
    mine, record, receipt = asked.before.readable_state().in_flight.id, state.record, state.receipt
    if receipt and receipt.id == mine:
        return _ended(receipt.outcome == "rotated", receipt.current)
    if record is None or record.id != mine:
        return None
    if record.revoked_at:
        return _ended(True, record.next)
    is_received = asked.id in record.serves
    if is_received and not record.skip_waits and state.lease_until is None:
        return Verdict("held-up", f"not retired: {record.note or wording.stands(snapshot)}", NO)
    return None


def _ended(revoked: bool, current: int | None) -> Verdict:  # noqa: FBT001 - a plain fact
    if revoked:
        sentence = f"the previous credential is revoked; version {current} is in force"
        return Verdict("retired", sentence)
    return Verdict("went-back", f"not retired: the rotation went back to version {current}", NO)
