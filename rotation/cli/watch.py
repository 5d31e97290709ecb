"""The command ``watch``: where secrets stand, live, until interrupted.

1. On a terminal one screen is drawn again and again; elsewhere each change is one line.
2. It reads what ``status`` reads, and changes nothing.
3. A look that fails in passing is told and repeated.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from rotation.cli import wording
from rotation.cli.context import Context
from rotation.cli.standing import Standing, find_managed, is_managed, read_standing
from rotation.model.errors import TemporaryError


@click.command()
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--until-settled", is_flag=True, help="End when nothing is in flight any more.")
@click.pass_context
def watch(
    ctx: click.Context, secrets: tuple[str, ...], every: float, *, until_settled: bool
) -> None:
    """Show where every managed secret stands, or each SECRET, until interrupted (Ctrl-C)."""
    context = ctx.ensure_object(Context)
    for name in secrets:
        find_managed(context, name)  # a name that is wrong is told at once
    looks = _looks(context, secrets, every)
    if context.is_terminal:
        _draw(looks, until_settled=until_settled)
    else:
        _tell(looks, until_settled=until_settled)


def _looks(
    context: Context, names: Sequence[str], every: float
) -> Iterator[tuple[Sequence[Standing], str]]:
    """Yield what was seen and, when a look failed, why; for ever."""
    seen: Sequence[Standing] = ()
    while True:
        trouble = ""
        try:
            seen = _read(context, names)
        except TemporaryError as error:
            trouble = str(error)
        yield seen, trouble
        time.sleep(every)


def _read(context: Context, names: Sequence[str]) -> list[Standing]:
    if names:
        found = [context.store.get(context.secret_name(name)) for name in names]
    else:
        found = sorted(filter(is_managed, context.store.list()), key=lambda each: str(each.name))
    return [read_standing(context, each) for each in found]


def _settled(standings: Sequence[Standing]) -> bool:
    return all(each.state is None or each.state.record is None for each in standings)


def _tell(looks: Iterator[tuple[Sequence[Standing], str]], *, until_settled: bool) -> None:
    told: dict[str, list[str]] = {}
    for standings, trouble in looks:
        if trouble:
            click.echo(f"not reached: {trouble}", err=True)
        for each in standings:
            lines = list(_steady(each))
            if told.get(str(each.secret.name)) != lines:
                told[str(each.secret.name)] = lines
                click.echo("\n".join(lines))
        if until_settled and not trouble and _settled(standings):
            return


def _steady(standing: Standing) -> Iterator[str]:
    """Yield what is worth a new line when it changes: no distances in time."""
    state = standing.state
    until = f" until {state.wake_at:%Y-%m-%d %H:%M:%SZ}" if state and state.wake_at else ""
    until = ", paused" if standing.paused else until
    yield f"{standing.short}: {wording.phase(standing)}{until}; {wording.in_force(standing)}"
    yield from wording.flight(standing)


def _draw(looks: Iterator[tuple[Sequence[Standing], str]], *, until_settled: bool) -> None:
    from rich.console import Group  # noqa: PLC0415 - only for a terminal
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(auto_refresh=False, screen=not until_settled) as live:
        for standings, trouble in looks:
            lines: list[Any] = [
                Text(line, style="red" if each.needs_a_person else "")
                for each in standings
                for line in wording.details(each)
            ]
            if trouble:
                lines.append(Text(f"not reached: {trouble}", style="yellow"))
            live.update(Group(*lines), refresh=True)
            if until_settled and not trouble and _settled(standings):
                return
