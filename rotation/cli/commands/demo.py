"""The command ``demo``: the product's job, live, on the embedded stack.

1. Exit codes: 0 every claim held; 1 one did not, or the stack did not start; 130 interrupted.
   However it ends, everything is ended and removed first.
2. The story goes to standard output; with ``--json`` to standard error, and one object follows
   on standard output.
3. Colours are for terminals only.
"""

import signal
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Final

import click

from rotation.cli.views.context import Context, json_option
from rotation.cli.views.failures import NO, OK
from rotation.engine import codec
from rotation.local.demo import (
    Claim,
    DemoOptions,
    RedisSummary,
    Summary,
    ValueSummary,
    run_demo,
    run_redis_demo,
    run_value_demo,
)

#: Those that the embedded stack has a story for.
_ISSUERS: Final = ("postgresql", "redis", "value")
_AnySummary = Summary | RedisSummary | ValueSummary
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Teller:
    """Prints the story with the seconds since it began."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._to_stderr = to_stderr
        self._began = time.monotonic()

    def scene(self, title: str) -> None:
        """Print a heading."""
        self._say("")
        self._say(click.style(f"== {title}", bold=True))

    def line(self, text: str) -> None:
        """Print one event."""
        self._say(f"{self._clock()}  {text}")

    def claim(self, claim: Claim) -> None:
        """Print a claim and whether it held."""
        word = click.style("ok    ", fg="green") if claim.held else click.style("FAILED", fg="red")
        detail = click.style(f": {claim.detail}", dim=True) if claim.detail else ""
        self._say(f"{self._clock()}  {word} {claim.text}{detail}")

    def summary(self, summary: _AnySummary) -> None:
        """Print the table and the verdict."""
        self._say("")
        self._say(click.style("== summary", bold=True))
        for line in summary.lines():
            self._say(line)
        failed = [claim.text for claim in summary.claims if not claim.held]
        self._say("")
        if failed:
            sentence = f"{len(failed)} of {len(summary.claims)} claims failed: {'; '.join(failed)}"
        else:
            sentence = f"all {len(summary.claims)} claims held, in {summary.seconds:.0f} s"
        self._say(click.style(sentence, fg="red" if failed else "green"))

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.2f}"

    def _say(self, text: str) -> None:
        click.echo(text, err=self._to_stderr)


@click.command()
@click.option("--keep", is_flag=True, help="Keep the folder with all state and logs.")
@click.option(
    "--issuer",
    type=click.Choice(_ISSUERS),
    default=_ISSUERS[0],
    show_default=True,
    help="Whose credential is rotated.",
)
@json_option
@click.pass_context
def demo(ctx: click.Context, /, *, keep: bool, issuer: str) -> None:
    """Rotate under load, kill, collide and revoke, and check every claim.

    Starts the embedded stack and eight consumer processes on this machine, and ends and removes
    everything. Takes about a minute.
    """
    context = ctx.ensure_object(Context)
    for number in _ENDS:
        signal.signal(number, _interrupt)
    folder = _kept_folder() if keep else None
    teller = _Teller(to_stderr=context.json)
    summary: _AnySummary
    if issuer == "value":
        summary = run_value_demo(teller, codec.POLICY, folder)
    elif issuer == "redis":
        summary = run_redis_demo(teller, codec.POLICY, folder)
    else:
        summary = run_demo(teller, DemoOptions(codec.POLICY, folder))
    teller.summary(summary)
    if folder is not None:
        click.echo(f"kept, with the passwords of this demo in it: {folder}", err=context.json)
    if context.json:
        context.answer(summary.as_json(), "")
    ctx.exit(OK if summary.held else NO)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    raise KeyboardInterrupt


def _kept_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rotation-demo-"))
    folder.chmod(0o755)  # PostgreSQL may have to run as another user
    return folder
