"""The command ``demo``: the product's job, live, on the embedded stack.

1. Exit codes: 0 every claim held; 1 one did not, or the stack did not start; 130 interrupted.
2. The story goes to standard output; with ``--json`` to standard error, and one object follows
   on standard output.
3. Colours are for terminals only.
"""

import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import click

from rotation.engine import codec
from rotation.local.drill import Claim, DrillOptions, Summary, run_drill
from rotation.model.errors import RotationError

_INTERRUPTED = 130


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

    def summary(self, summary: Summary) -> None:
        """Print the table and the verdict."""
        self._say("")
        self._say(click.style("== summary", bold=True))
        for line in summary.lines():
            self._say(line)
        failed = [claim.text for claim in summary.claims if not claim.held]
        self._say("")
        if failed:
            said = f"{len(failed)} of {len(summary.claims)} claims failed: {'; '.join(failed)}"
        else:
            said = f"all {len(summary.claims)} claims held, in {summary.seconds:.0f} s"
        self._say(click.style(said, fg="red" if failed else "green"))

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.2f}"

    def _say(self, text: str) -> None:
        click.echo(text, err=self._to_stderr)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
@click.option("--keep", is_flag=True, help="Keep the folder with all state and logs.")
def demo(*, as_json: bool, keep: bool) -> None:
    """Rotate under load, kill, collide and revoke, and check every claim.

    Starts the embedded stack in a folder of its own and eight consumer processes; ends and removes
    everything.  Takes about a minute.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    folder = _kept_folder() if keep else None
    teller = _Teller(to_stderr=as_json)
    try:
        summary = run_drill(teller, DrillOptions(codec.POLICY, folder))
    except RotationError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("interrupted; everything is ended", err=True)
        sys.exit(_INTERRUPTED)
    teller.summary(summary)
    if folder is not None:
        click.echo(f"kept, with the passwords of this demo in it: {folder}", err=as_json)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=2))
    sys.exit(0 if summary.held else 1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _kept_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rotation-demo-"))
    folder.chmod(0o755)  # PostgreSQL may have to run as another user
    return folder
