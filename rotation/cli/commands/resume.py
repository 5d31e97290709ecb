"""The command ``resume``: end a pause.

1. Everything that was kept or became due meanwhile is owed at once.
2. A secret that is not paused is left alone, and that is well.
"""

import click

from rotation.cli.views import wording
from rotation.cli.views.asking import Asked, Verdict, ask, asking_options, checked_options
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.selecting import find_any
from rotation.engine.snapshot import Snapshot
from rotation.model.wakeup import Ask


@click.command()
@click.argument("secret")
@asking_options
@json_option
@click.pass_context
def resume(
    ctx: click.Context, secret: str, reason: str, requested_by: str, timeout: float, *, wait: bool
) -> None:
    """Let the rotations of SECRET go on after a pause; what was kept meanwhile is done at once."""
    context = ctx.ensure_object(Context)
    options = checked_options(reason, requested_by, timeout, wait=wait)
    before = find_any(context, secret)
    if before.pause is None or not before.pause.paused:
        body = {"secret": str(before.secret.name), "mode": "resume", "outcome": "not-paused"}
        context.answer(body, f"{before.short}: not paused; {wording.stands(before)}")
        return
    ctx.exit(ask(context, before, Ask.RESUME, options, _judge))


def _judge(asked: Asked, snapshot: Snapshot) -> Verdict | None:
    pause = snapshot.pause
    if pause is None or asked.id not in pause.request_ids:
        return None
    if pause.paused:
        return Verdict("paused", "somebody has paused it again since")
    return Verdict("resumed", f"resumed; {wording.stands(snapshot)}")
