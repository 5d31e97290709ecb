"""Shows how a campaign goes: a bar on a terminal, lines elsewhere, nothing with ``--json``.

1. Failures are always shown, one line each; on a terminal only they are.
2. Elsewhere each answer is a line, and every `EVERY` seconds one says how far it is.
3. No line of a terminal is longer than it is wide.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from rotation.cli.views.asking import Verdict
from rotation.cli.views.context import Context, printable
from rotation.cli.views.failures import OK
from rotation.machine import campaign
from rotation.machine.campaign import Condition, Limits, Subject
from rotation.policies.duration import format_duration

if TYPE_CHECKING:
    from rich.progress import TaskID

#: Seconds between two lines that say how far it is.
EVERY: Final = 10.0


def make_teller(context: Context, limits: Limits, total: int) -> "Lines | Bar":
    """Return the display that fits where the output goes."""
    if context.is_terminal:
        return Bar(limits, total)
    return Lines(context.say, limits, total)


class Lines:
    """One line after the other."""

    def __init__(self, say: Callable[[str], None], limits: Limits, total: int) -> None:
        self._say = say
        self._limits = limits
        self._total = total
        self._shown_at = 0.0

    def shown(self) -> AbstractContextManager[object]:
        """Return what is entered while lines are shown."""
        return nullcontext()

    def ended(self, name: str, verdict: Verdict) -> None:
        """Say what became of one request."""
        self._say(f"{_short(name)}: {printable(verdict.sentence)}")

    def progress(self, subjects: Mapping[str, Subject], now: float) -> None:
        """Say how far it is, now and then."""
        if now - self._shown_at < EVERY:
            return
        self._shown_at = now
        self._say(progress_line(subjects, self._limits, self._total, now))

    def line(self, text: str) -> None:
        """Say something else."""
        self._say(printable(text))


class Bar:
    """A bar that is drawn again and again, and lines above it."""

    def __init__(self, limits: Limits, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415 - only for a terminal
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        self._limits = limits
        self._total = total
        self._console = Console(highlight=False, markup=False)
        columns = (
            TextColumn("{task.completed}/{task.total}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[rest]}", markup=False),
        )
        self._bar = Progress(*columns, console=self._console, expand=True)
        self._task: TaskID = self._bar.add_task("", total=total, rest="")

    def shown(self) -> AbstractContextManager[Any]:
        """Return what is entered while it is drawn."""
        return self._bar

    def ended(self, name: str, verdict: Verdict) -> None:
        """Say what failed."""
        if verdict.code != OK:
            self.line(f"{_short(name)}: {verdict.sentence}")

    def progress(self, subjects: Mapping[str, Subject], now: float) -> None:
        """Move the bar."""
        every = list(subjects.values())
        counts = campaign.tally(every)
        over = self._total - counts[Condition.WAITING] - counts[Condition.ASKED]
        self._bar.update(self._task, completed=over, rest=_rest(every, self._limits, now))

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(printable(text))


def progress_line(subjects: Mapping[str, Subject], limits: Limits, total: int, now: float) -> str:
    """Return one line that says how far it is."""
    every = list(subjects.values())
    counts = campaign.tally(every)
    over = total - counts[Condition.WAITING] - counts[Condition.ASKED]
    return f"{over} of {total} answered; {_rest(every, limits, now)}"


def _rest(subjects: list[Subject], limits: Limits, now: float) -> str:
    counts = campaign.tally(subjects)
    parts = [f"{counts[Condition.ASKED]} under way"]
    if counts[Condition.FAILED]:
        parts.append(f"{counts[Condition.FAILED]} failed")
    seconds = campaign.estimate(subjects, limits, now)
    if seconds:
        parts.append(f"{spelled(seconds)} left")
    return ", ".join(parts)


def spelled(seconds: float) -> str:
    """Spell a length of time for people."""
    return format_duration(timedelta(seconds=max(round(seconds), 1)))


def _short(name: str) -> str:
    return name.rpartition("/")[2]
