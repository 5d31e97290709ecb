"""The command ``status``: where every managed secret stands.

1. Managed is who has the annotation ``rotation.policy``.
2. It reads what the worker reads, and changes nothing.
3. It exits with 1 when a secret shown needs a person: blocked, a faulty policy, unreadable state.
"""

from collections.abc import Sequence

import click

from rotation.cli import wording
from rotation.cli.context import Context, json_option, printable
from rotation.cli.failures import NO, OK
from rotation.cli.standing import Standing, describe, is_managed, not_managed, read_standing
from rotation.model.secret import Secret


@click.command()
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
@json_option
@click.pass_context
def status(ctx: click.Context, secrets: tuple[str, ...]) -> None:
    """Show where every managed secret stands, or each SECRET (an id or a full name).

    Exits with 1 when one of them needs a person: blocked, a faulty policy, unreadable state.

    With --json: {"now", "needs_a_person", "secrets": [{"secret", "phase", "current", "slot",
    "waits_until", "lease_until", "rotation", "pending", "blocked", "paused", "kept", "faults",
    "last", "next_rotation", "overdue_since", "needs_a_person"}]}; times are RFC 3339.
    """
    context = ctx.ensure_object(Context)
    found = [_named(context, text) for text in secrets] if secrets else _all(context)
    standings = [read_standing(context, each) for each in found]
    stuck = [each for each in standings if each.needs_a_person]
    body = {
        "now": context.clock.now(),
        "needs_a_person": len(stuck),
        "secrets": [describe(each) for each in standings],
    }
    if context.is_terminal and len(standings) > 1:
        _print_table(standings)
    else:
        context.answer(body, _text(standings))
    ctx.exit(NO if stuck else OK)


def _named(context: Context, text: str) -> Secret:
    secret = context.store.get(context.secret_name(text))
    if not is_managed(secret):
        raise not_managed(secret)
    return secret


def _all(context: Context) -> list[Secret]:
    _ = context.project  # a missing project is told before anything is asked of Google
    return sorted(filter(is_managed, context.store.list()), key=lambda each: str(each.name))


def _text(standings: Sequence[Standing]) -> str:
    if not standings:
        return "no secret of this project has a policy; see: rotation policy apply --help"
    return "\n".join(line for each in standings for line in wording.details(each))


def _print_table(standings: Sequence[Standing]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("SECRET", "STANDS", "IN FORCE", "LAST", "NEXT", box=None, pad_edge=False)
    for each in standings:
        style = "red" if each.needs_a_person else ""
        words = (wording.stands, wording.in_force, wording.last, wording.following)
        cells = [printable(each.short), *(word(each) for word in words)]
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console = Console(highlight=False)
    console.print(table)
    for each in standings:
        if each.needs_a_person:
            console.print(Text(f"{each.short}: {wording.attention(each)}", style="red"))
