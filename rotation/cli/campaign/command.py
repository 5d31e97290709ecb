"""The options of a campaign and the order of things: show, confirm, ask, follow, receipt.

1. Nothing is asked before a person has typed what the preview names, or a script has said --yes.
2. Whatever ends it, the receipt is written, and what is left can be gone on with.
3. Ctrl-C (and SIGTERM) ends it at once: what is under way goes on, the rest is not asked.
"""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from rotation.cli.campaign import logbook as books
from rotation.cli.campaign import preview as previews
from rotation.cli.campaign import receipt as receipts
from rotation.cli.campaign.kind import Kind
from rotation.cli.campaign.logbook import Logbook
from rotation.cli.campaign.runner import Parts, Runner
from rotation.cli.campaign.selection import NOT_MANAGED, Selection, select
from rotation.cli.campaign.sessions import look
from rotation.cli.campaign.telling import make_teller
from rotation.cli.views.asking import RequestOptions
from rotation.cli.views.context import Context
from rotation.cli.views.failures import INTERRUPTED, NO, OK, UNREACHABLE
from rotation.cli.views.selecting import find
from rotation.machine.campaign import Limits
from rotation.model.errors import PermanentError, RotationError, TemporaryError
from rotation.model.text import escaped

#: Value of --resume without a file.
_LATEST: Final = "latest"
_Decorated = Callable[..., Any]


@dataclass(frozen=True)
class Choices:
    """What the options say."""

    matching: str
    yes: bool
    preview: bool
    receipt: Path | None
    resume: str | None
    together: int
    per_database: int
    per_project: int
    quota: float | None
    stop_after: int
    keep_going: bool
    sessions: float

    def limits(self, context: Context, kind: Kind, timeout: float | None) -> Limits:
        """Return what the campaign keeps to."""
        quota = context.settings.quota_per_minute if self.quota is None else self.quota
        defaults = Limits()
        return Limits(
            together=self.together,
            per_place=self.per_database,
            per_project=self.per_project,
            per_minute=quota / kind.writes,
            stop_after=0 if self.keep_going else self.stop_after,
            stop_share=1.0 if self.keep_going else defaults.stop_share,
            timeout=defaults.timeout if timeout is None else timeout,
        )


def campaign_options(command: _Decorated) -> _Decorated:
    """Give a command the options that `Choices` is made of, but for ``--filter``."""
    some = click.IntRange(min=1)
    defaults = Limits()
    options = (
        click.option("--yes", is_flag=True, help="Do not ask for anything to be typed."),
        click.option("--preview", is_flag=True, help="Show what it would touch, and end."),
        click.option(
            "--receipt",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write a receipt of many secrets to this file, JSON.",
        ),
        click.option(
            "--resume",
            is_flag=False,
            flag_value=_LATEST,
            default=None,
            metavar="[FILE]",
            help="Go on with many secrets after an interruption; the last one, or FILE.",
        ),
        click.option(
            "--together", type=some, default=defaults.together, show_default=True,
            help="Most requests in flight.",
        ),
        click.option(
            "--per-database", type=some, default=defaults.per_place, show_default=True,
            help="Most of them for one database.",
        ),
        click.option(
            "--per-project", type=some, default=defaults.per_project, show_default=True,
            help="Most of them for one project.",
        ),
        click.option(
            "--quota",
            type=click.FloatRange(min=0),
            default=None,
            help="Writes a minute of the project; else $ROTATION_QUOTA_PER_MINUTE, or 600.",
        ),
        click.option(
            "--stop-after", type=some, default=defaults.stop_after, show_default=True,
            help="Ask no more after so many failures in a row (or a quarter of all).",
        ),
        click.option("--keep-going", is_flag=True, help="Go on whatever fails."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def sessions_option(command: _Decorated) -> _Decorated:
    """Let a command look at sessions before it asks."""
    return click.option(
        "--sessions/--no-sessions",
        "sessions",
        default=True,
        help="Look for up to 10 s who uses the credentials in force; the default.",
    )(command)


def choices(options: Mapping[str, Any]) -> Choices:
    """Return the options as one record."""
    seconds = 10.0 if options.get("sessions") else 0.0
    return Choices(**{**options, "sessions": seconds})


def is_campaign(names: Sequence[str], chosen: Choices) -> bool:
    """Return whether a command is about more than one secret that was named.

    Raises:
        UsageError: It is about nothing, or about two things.
    """
    if chosen.resume is not None and (names or chosen.matching):
        raise click.UsageError("--resume goes on with the same secrets: name none")
    if not names and not chosen.matching and chosen.resume is None:
        raise click.UsageError("give a SECRET, a --filter, or --resume")
    if names and chosen.matching:
        raise click.UsageError("give either names of secrets or a --filter, not both")
    return len(names) != 1 or chosen.preview


def run(
    context: Context, kind: Kind, names: Sequence[str], chosen: Choices, options: RequestOptions
) -> int:
    """Run a campaign, new or left behind, and return the exit code."""
    if chosen.receipt is not None:
        receipts.check_place(chosen.receipt)
    limits = chosen.limits(context, kind, options.timeout)
    if chosen.resume is not None:
        return _resume(context, kind, chosen, limits, options)
    return _begin(context, kind, names, chosen, limits, options)


def _begin(
    context: Context,
    kind: Kind,
    names: Sequence[str],
    chosen: Choices,
    limits: Limits,
    options: RequestOptions,
) -> int:
    selection = select(context, find(context, names, chosen.matching), kind)
    if not selection.targets and not selection.left_out:
        raise PermanentError(
            f"no secret of {context.project} matches {chosen.matching}",
            remedy="see what does: rotation status --filter F",
            reason="no-match",
        )
    session_count = look(context, selection.snapshots, chosen.sessions) if chosen.sessions else None
    shown = previews.Preview(
        kind, options.reason, chosen.matching, selection, limits, session_count
    )
    if chosen.preview:
        text = "\n".join(previews.lines(context, shown))
        context.answer(previews.body(context, shown), text)
        return OK if selection.targets else NO
    for line in previews.lines(context, shown):
        click.echo(escaped(line), err=not context.is_terminal)
    if not selection.targets:
        raise PermanentError("none of the secrets can be asked", reason="none-left")
    _confirm(chosen, selection)
    head = books.new_head(
        kind.ask,
        context.clock.now(),
        reason=options.reason,
        requested_by=options.requested_by,
        matching=chosen.matching,
        project=context.project,
    )
    folder = context.settings.state_dir
    with Logbook.create(folder, head, selection.targets) as book:
        books.remove_older(folder)
        return _carry_out(context, kind, book, limits, options, chosen, selection.left_out)


def _resume(
    context: Context, kind: Kind, chosen: Choices, limits: Limits, options: RequestOptions
) -> int:
    latest = chosen.resume == _LATEST
    path = (
        books.latest(context.settings.state_dir, kind.ask) if latest else Path(chosen.resume or "")
    )
    with Logbook.resume(path) as book:
        head = book.head
        if head.mode is not kind.ask:
            raise PermanentError(
                f"{path} is of a campaign of mode {head.mode.value}",
                remedy=f"run: {receipts.resume_command(book)}",
                reason="other-mode",
            )
        same = RequestOptions(head.reason, head.requested_by, wait=True, timeout=options.timeout)
        return _carry_out(context, kind, book, limits, same, chosen, {})


def _carry_out(
    context: Context,
    kind: Kind,
    book: Logbook,
    limits: Limits,
    options: RequestOptions,
    chosen: Choices,
    left_out: Mapping[str, str],
) -> int:
    teller = make_teller(context, limits, len(book.stories))
    teller.line(f"interrupted, it goes on with: {receipts.resume_command(book)}")
    runner = Runner(Parts(context, book, limits, options, kind, teller))
    broken: RotationError | KeyboardInterrupt | None = None
    try:
        with _signals_interrupt(), teller.shown():
            runner.run()
    except (KeyboardInterrupt, RotationError) as error:
        broken = error
    receipt = receipts.compose(
        book,
        context.clock.now(),
        interrupted=isinstance(broken, KeyboardInterrupt | TemporaryError),
        stopped=runner.stopped,
        left_out=left_out,
    )
    if chosen.receipt is not None:
        receipts.write(chosen.receipt, receipt)
    context.answer(receipt, "\n".join(summary(receipt, chosen.receipt)))
    if isinstance(broken, RotationError):
        raise broken
    if broken is not None:
        click.echo(f"rotation: interrupted; {_how_on(receipt)}", err=True)
        return INTERRUPTED
    return _code(receipt)


def summary(receipt: Mapping[str, Any], file: Path | None) -> Iterator[str]:
    """Yield what a campaign came to, a line each."""
    total, outcomes = receipt["secrets_total"], receipt["outcomes"]
    counts = ", ".join(f"{count} {name}" for name, count in outcomes.items())
    yield f"{receipt['done']} of {total} done" + (f": {counts}" if counts else "")
    times, since = receipt["time_to_revoke"], receipt["since_start"]
    if times["count"]:
        yield (
            f"time to revoke: half within {times['p50']:.1f} s, 99 % within {times['p99']:.1f} s,"
            f" all within {times['max']:.1f} s"
        )
        yield f"the last one {since['max']:.1f} s after the begin"
    if receipt["stopped"]:
        yield f"stopped: {receipt['stopped']}"
    failed = [entry for entry in receipt["secrets"] if entry["outcome"] in _BAD]
    yield from (f"  {_short(entry['secret'])}: {entry['message']}" for entry in failed[:5])
    if receipt["failed"] or receipt["left"]:
        under_way = sum(bool(entry["asked_at"]) for entry in _open(receipt))
        yield f"left: {under_way} under way, {receipt['left'] - under_way} not asked"
        yield f"go on with: {receipt['resume']}"
    if file is not None:
        yield f"receipt: {file}"


_BAD: Final = frozenset({"blocked", "reverted", "aborted", "too-late"})


def _open(receipt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [entry for entry in receipt["secrets"] if entry["outcome"] is None]


def _how_on(receipt: Mapping[str, Any]) -> str:
    if receipt["resume"] is None:
        return "everything was answered"
    under_way = sum(bool(entry["asked_at"]) for entry in _open(receipt))
    left = receipt["left"] - under_way
    return f"{under_way} under way, {left} not asked; go on with: {receipt['resume']}"


def _code(receipt: Mapping[str, Any]) -> int:
    unfinished = receipt["outcomes"].get("not-finished", 0)
    if receipt["failed"] > unfinished or receipt["stopped"] or _refused(receipt):
        return NO
    return UNREACHABLE if unfinished or receipt["left"] else OK


def _refused(receipt: Mapping[str, Any]) -> bool:
    """Whether somebody who should have taken part could not."""
    return any(entry["why"] != NOT_MANAGED for entry in receipt["left_out"])


def _confirm(chosen: Choices, selection: Selection) -> None:
    if chosen.yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal; for many secrets pass --yes")
    wanted = str(len(selection.targets))
    prompt = f"Type {wanted}, the number of secrets, to go on"
    typed = click.prompt(prompt, err=True, default="", show_default=False)
    if typed.strip() != wanted:
        raise PermanentError("not confirmed: nothing was published", reason="not-confirmed")


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and a lost terminal end it as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _short(name: str) -> str:
    return name.rpartition("/")[2]
