"""A table of secrets that fits the terminal: what does not fit is left out in a fixed order.

1. A line never wraps: columns are left out from the least important one on, then texts are cut.
2. Distances in time are enough; whoever wants the exact time looks at one secret.
3. Whatever others wrote is made printable first.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from rotation.cli.views import wording
from rotation.cli.views.context import printable
from rotation.engine.snapshot import Snapshot
from rotation.policies.duration import format_duration

Cell = Callable[[Snapshot], str]

_GAP: Final = 2
#: A secret's id is cut to this before a column is left out.
_LONGEST_ID: Final = 32
_CUT: Final = "..."


def print_table(snapshots: Sequence[Snapshot]) -> None:
    """Print the table, and below it what each secret needs a person for."""
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False)
    lines = rows(snapshots, console.width)
    for number, line in enumerate(lines):
        stuck = number > 0 and snapshots[number - 1].needs_a_person
        console.print(Text(line, style="red" if stuck else ""), soft_wrap=True)
    for snapshot in snapshots:
        if snapshot.needs_a_person:
            console.print(Text(f"{snapshot.short}: {wording.attention(snapshot)}", style="red"))


def rows(snapshots: Sequence[Snapshot], width: int) -> list[str]:
    """Return the head and a line for each secret, none longer than ``width``."""
    columns = [(name, [name, *map(cell, snapshots)]) for name, cell in COLUMNS]
    columns[0] = (columns[0][0], [cut(text, _LONGEST_ID) for text in columns[0][1]])
    for leaving in LEAVING:
        if _wide(columns) <= width:
            break
        columns = [column for column in columns if column[0] != leaving]
    widths = [max(map(len, texts)) for _, texts in columns]
    lines = (
        (" " * _GAP).join(text.ljust(wide) for text, wide in zip(line, widths, strict=True))
        for line in zip(*(texts for _, texts in columns), strict=True)
    )
    return [cut(line.rstrip(), width) for line in lines]


def distance(moment: datetime, now: datetime) -> str:
    """Say how far a time is, in its two largest units."""
    length = abs(moment - now)
    for step in (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)):
        if length >= step:
            length -= length % (step / (24 if step.days else 60))
            break
    near = format_duration(length)
    return f"in {near}" if moment >= now else f"{near} ago"


def _id(snapshot: Snapshot) -> str:
    return printable(snapshot.short)


def _stands(snapshot: Snapshot) -> str:
    state = snapshot.state
    if snapshot.needs_a_person:
        return "BLOCKED" if snapshot.block else "FAULTY"
    text = wording.phase(snapshot)
    if state is not None and state.wake_at is not None:
        text += f" {distance(state.wake_at, snapshot.now)}"
    return text


def _in_force(snapshot: Snapshot) -> str:
    return "-" if snapshot.current is None else str(snapshot.current)


def _handle(snapshot: Snapshot) -> str:
    return printable(snapshot.handle) or "-"


def _last(snapshot: Snapshot) -> str:
    receipt = snapshot.state.receipt if snapshot.state else None
    if receipt is None:
        return "never"
    return f"{receipt.outcome} {distance(receipt.settled_at, snapshot.now)}"


def _next(snapshot: Snapshot) -> str:
    if snapshot.overdue_since is not None:
        return f"overdue {distance(snapshot.overdue_since, snapshot.now)}"
    schedule = snapshot.secret.schedule
    return distance(schedule.next_time, snapshot.now) if schedule else "no schedule"


COLUMNS: Final[tuple[tuple[str, Cell], ...]] = (
    ("SECRET", _id),
    ("STANDS", _stands),
    ("VERSION", _in_force),
    ("HANDLE", _handle),
    ("LAST", _last),
    ("NEXT", _next),
)
#: Which column leaves first when the terminal is narrow.
LEAVING: Final = ("HANDLE", "LAST", "VERSION", "NEXT")


def _wide(columns: Sequence[tuple[str, Sequence[str]]]) -> int:
    return sum(max(map(len, texts)) + _GAP for _, texts in columns) - _GAP


def cut(text: str, width: int) -> str:
    """Cut a text that is too long, and show that it was."""
    return text if len(text) <= width else text[: max(width - len(_CUT), 0)] + _CUT
