"""The command ``pause``: start nothing new, and go no further than the next wait.

1. Emergencies and reverts still go through; the pause stays until ``resume``.
2. It ends when the request is stored on the secret.
"""

import click

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
def pause(
    ctx: click.Context, secret: str, reason: str, requested_by: str, timeout: float, *, wait: bool
) -> None:
    """Hold the rotations of SECRET, for example during an incident.

    Nothing new starts, and what is in flight stops at its next wait, where the previous and the
    next credential both work. Emergencies and reverts still go through. What is asked for meanwhile
    is kept until: rotation resume SECRET.
    """
    if not reason:
        raise click.UsageError("say why with --reason: others will meet the pause")
    context = ctx.ensure_object(Context)
    options = checked_options(reason, requested_by, timeout, wait=wait)
    ctx.exit(ask(context, find_any(context, secret), Ask.PAUSE, options, _judge))


def _judge(asked: Asked, snapshot: Snapshot) -> Verdict | None:
    pause = snapshot.pause
    if pause is None or asked.id not in pause.request_ids:
        return None
    if not pause.paused:
        return Verdict("resumed", "somebody has resumed it since")
    return Verdict("paused", f"paused; to go on: rotation resume {snapshot.short}")
