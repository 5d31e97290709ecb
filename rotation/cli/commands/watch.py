"""The command ``watch``: where secrets stand, live, until interrupted.

1. On a terminal one screen is drawn again and again, also of a thousand secrets: a line that sums
   them up, those that need a person first, and as many as fit.  Elsewhere each change is one line.
2. It reads what ``status`` reads, and changes nothing.  Of more than a thousand secrets, those that
   rest are looked at less often than those that move.
3. A look that fails for a moment is reported and repeated.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import click

from rotation.cli.commands.status import ordered
from rotation.cli.views import wording
from rotation.cli.views.context import Context, printable
from rotation.cli.views.fleet import Fleet
from rotation.cli.views.selecting import filter_option, managed
from rotation.cli.views.table import cut, rows
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import TemporaryError


@click.command()
@click.argument("secrets", metavar="[SECRET]...", nargs=-1)
@filter_option
@click.option(
    "--every",
    type=click.FloatRange(min=0.2),
    default=2.0,
    show_default=True,
    help="Seconds between two looks; more for thousands of secrets.",
)
@click.option("--until-settled", is_flag=True, help="End when nothing is in flight any more.")
@click.pass_context
def watch(
    ctx: click.Context,
    /,
    secrets: tuple[str, ...],
    matching: str,
    every: float,
    *,
    until_settled: bool,
) -> None:
    """Show where every managed secret stands, or each SECRET, until interrupted (Ctrl-C).

    However many secrets there are, it takes no more than 30 lists a minute: of a thousand and more,
    those with a rotation in flight are looked at every few seconds, the others more seldom (10,000:
    every 44 s).
    """
    context = ctx.ensure_object(Context)
    if secrets and matching:
        raise click.UsageError("give either names of secrets or a --filter, not both")
    looks = _looks(_Named(context, secrets) if secrets else Fleet(context, matching), every)
    if context.is_terminal:
        _draw(looks, until_settled=until_settled)
    else:
        _tell(looks, until_settled=until_settled)


class _Watched(Protocol):
    """What is looked at again and again."""

    def look(self) -> Sequence[Snapshot]: ...

    @property
    def pause(self) -> float: ...


@dataclass(frozen=True)
class _Named:
    """Secrets that a person named."""

    context: Context
    names: Sequence[str]
    pause: float = 0.0

    def look(self) -> Sequence[Snapshot]:
        """Return where they stand now."""
        found = managed(self.context, self.names, "")
        return [self.context.snapshot(secret) for secret in found]


def _looks(watched: _Watched, every: float) -> Iterator[tuple[Sequence[Snapshot], str]]:
    """Yield what is there and, when a look failed, why; for ever.

    What is wrong with the first look is raised at once, before anything is drawn.
    """
    first = ordered(watched.look())

    def looks() -> Iterator[tuple[Sequence[Snapshot], str]]:
        snapshots, trouble = first, ""
        while True:
            yield snapshots, trouble
            time.sleep(max(every, watched.pause))
            try:
                snapshots, trouble = ordered(watched.look()), ""
            except TemporaryError as error:
                trouble = str(error)

    return looks()


def _settled(snapshots: Sequence[Snapshot]) -> bool:
    return not any(snapshot.is_in_flight for snapshot in snapshots)


def _tell(looks: Iterator[tuple[Sequence[Snapshot], str]], *, until_settled: bool) -> None:
    shown: dict[str, list[str]] = {}
    for snapshots, trouble in looks:
        if trouble:
            click.echo(f"not reached: {printable(trouble)}", err=True)
        for snapshot in snapshots:
            lines = list(_steady(snapshot))
            if shown.get(str(snapshot.secret.name)) != lines:
                shown[str(snapshot.secret.name)] = lines
                click.echo("\n".join(lines))
        if until_settled and not trouble and _settled(snapshots):
            return


def _steady(snapshot: Snapshot) -> Iterator[str]:
    """Yield what is worth a new line when it changes: no distances in time."""
    state = snapshot.state
    until = f" until {state.wake_at:%Y-%m-%d %H:%M:%SZ}" if state and state.wake_at else ""
    until = ", paused" if snapshot.paused else until
    yield f"{snapshot.short}: {wording.phase(snapshot)}{until}; {wording.in_force(snapshot)}"
    yield from wording.flight(snapshot)


def _draw(looks: Iterator[tuple[Sequence[Snapshot], str]], *, until_settled: bool) -> None:
    from rich.console import Console, Group  # noqa: PLC0415 - only for a terminal
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, screen=not until_settled) as live:
        for snapshots, trouble in looks:
            lines = screen(snapshots, trouble, console.width, console.height)
            live.update(Group(*(Text(line, style=style) for line, style in lines)), refresh=True)
            if until_settled and not trouble and _settled(snapshots):
                return


def screen(
    snapshots: Sequence[Snapshot], trouble: str, width: int, height: int
) -> list[tuple[str, str]]:
    """Return the lines of one screen, each with its style: a summary, and as much as fits."""
    counts = Counter(_word(snapshot) for snapshot in snapshots)
    summary = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    first: list[tuple[str, str]] = [(f"{len(snapshots)} secrets: {summary}", "bold")]
    if trouble:
        first.append((f"not reached: {printable(trouble)}", "yellow"))
    whole = [
        (line, "red" if snapshot.needs_a_person else "")
        for snapshot in snapshots
        for line in wording.details(snapshot)
    ]
    first = [(cut(line, width), style) for line, style in first]
    if len(whole) + len(first) < height and all(len(line) <= width for line, _ in whole):
        return first + whole
    head, *lines = rows(snapshots, width)
    most = max(height - len(first) - 3, 1)
    styles = ["red" if snapshot.needs_a_person else "" for snapshot in snapshots]
    body = list(zip(lines, styles, strict=True))[:most]
    left = len(lines) - len(body)
    more = [(f"and {left} more: rotation status", "dim")] if left else []
    return [*first, (head, ""), *body, *more]


def _word(snapshot: Snapshot) -> str:
    if snapshot.needs_a_person:
        return "need a person"
    return snapshot.state.phase.value if snapshot.state else "unreadable"
