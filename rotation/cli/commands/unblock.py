"""The command ``unblock``: let a blocked secret go on after a person has mended the cause.

1. A secret that is not blocked is left alone, and that is well.
2. It ends when the worker has looked again: it goes on, or is blocked once more.
3. Where the record is not ours, or an old one, it says what the function will record instead.
"""

from typing import Final

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
from rotation.cli.views.selecting import find_managed
from rotation.engine.sealed import NotOursError, OldRecordError
from rotation.engine.snapshot import Snapshot
from rotation.model.rotation import State
from rotation.model.wakeup import Ask

#: Reasons for which the function looks what is really there.
_GIVEN_UP: Final = frozenset({NotOursError.reason, OldRecordError.reason})


@click.command()
@click.argument("secret")
@asking_options
@json_option
@click.pass_context
def unblock(
    ctx: click.Context,
    secret: str,
    reason: str,
    requested_by: str,
    timeout: float | None,
    *,
    wait: bool,
) -> None:
    """Let SECRET go on, after the cause of the block was mended."""
    context = ctx.ensure_object(Context)
    options = checked_options(reason, requested_by, timeout, wait=wait)
    before = find_managed(context, secret)
    if not before.needs_a_person:
        body = {"secret": str(before.secret.name), "mode": "unblock", "outcome": "not-blocked"}
        context.answer(body, f"{before.short}: not blocked; {wording.stands(before)}")
        return
    block = before.block
    if block is not None and block.reason in _GIVEN_UP:
        context.say(
            f"{before.short}: the rotation in flight is given up; if version {before.current}, to"
            " which consumers are pointed, logs in, it is recorded as the one in force; nothing"
            " is disabled"
        )
    ctx.exit(ask(context, before, Ask.UNBLOCK, options, _judge))


@unless_blocked
def _judge(_asked: Asked, snapshot: Snapshot, state: State) -> Verdict | None:
    if snapshot.needs_a_person or state.lease_until:
        return None
    return Verdict("unblocked", f"not blocked any more; {wording.stands(snapshot)}")
