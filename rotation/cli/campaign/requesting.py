"""The body of `rotate`, `revert` and `emergency`: one secret, or many.

One is asked and followed; many are a campaign.  What they differ in stands in their `Kind`.
"""

import sys
from collections.abc import Callable
from typing import Any

import click

from rotation.cli.campaign.command import (
    campaign_options,
    choices,
    is_campaign,
    run,
    sessions_option,
)
from rotation.cli.campaign.kind import Kind
from rotation.cli.views.asking import ask, asking_options, checked_options
from rotation.cli.views.context import Context, json_option
from rotation.cli.views.selecting import filter_option, find_managed

_Decorated = Callable[..., Any]


def request_options(kind: Kind) -> Callable[[_Decorated], _Decorated]:
    """Give a command the argument and the options that `request` takes."""

    def give(command: _Decorated) -> _Decorated:
        command = json_option(command)
        command = asking_options(command)
        if kind.ends_sessions:
            command = sessions_option(command)
        command = filter_option(campaign_options(command))
        return click.argument("secrets", metavar="[SECRET]...", nargs=-1)(command)

    return give


def request(
    ctx: click.Context,
    kind: Kind,
    secrets: tuple[str, ...],
    reason: str,
    requested_by: str,
    timeout: float | None,
    *,
    wait: bool,
    **campaign_options: Any,  # noqa: ANN401
) -> None:
    """Ask one secret and follow it, or run a campaign; exit with what became of it."""
    context = ctx.ensure_object(Context)
    chosen = choices(campaign_options)
    many = is_campaign(secrets, chosen)
    if kind.needs_reason and not reason.strip() and chosen.resume is None:
        raise click.UsageError(f"an {kind.ask.value} needs a --reason TEXT, for the record", ctx)
    options = checked_options(reason, requested_by, timeout, wait=wait)
    if many:
        ctx.exit(run(context, kind, secrets, chosen, options))
    before = find_managed(context, secrets[0])
    kind.refuse(before)
    if not chosen.yes and sys.stdin.isatty():
        kind.confirm(before)
    ctx.exit(ask(context, before, kind.ask, options, kind.judge))
