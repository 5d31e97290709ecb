"""The command ``drill``: practise the night on a copy of the stack.

1. Nothing of the real project is changed: with --like only names and labels are read there.
2. It is over when nothing is missing any more; how that was reached is up to whoever practises.
3. However it ends, everything that was started is ended and removed.
4. Exit codes: 0 the incident is over; 1 it is not, or time ran out; 130 interrupted.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from rotation.cli.views.context import Context, json_option
from rotation.cli.views.env_file import EnvFile
from rotation.cli.views.failures import NO, OK
from rotation.cli.views.selecting import managed
from rotation.engine import codec
from rotation.model.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from rotation.local.drill.fleet import Fleet, Wanted
    from rotation.local.drill.scenarios import Blocked, Leak, Revert

_LABEL: Final = {"exercise": "yes"}
#: Seconds between two looks, and until an incident must show.
_LOOK_EVERY, _STAGED_WITHIN = 0.5, 60.0


@click.command()
@click.argument("scenario", default="leak")
@click.option("--list", "listing", is_flag=True, help="List the scenarios.")
@click.option(
    "--secrets",
    "count",
    type=click.IntRange(3, 1000),
    default=12,
    show_default=True,
    help="How many secrets the copy has.",
)
@click.option(
    "--like",
    metavar="F",
    default="",
    help="Take names and labels of the managed secrets that match, and nothing else of them.",
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the variables here, mode 0600; else a file of its own is made.",
)
@click.option("--auto", is_flag=True, help="Play the right commands, too.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Give up after so long.",
)
@json_option
@click.pass_context
def drill(ctx: click.Context, /, scenario: str, *, listing: bool, **options: Any) -> None:  # noqa: ANN401
    """Practise an incident on a copy of the stack: leak, blocked or revert.

    Starts an embedded stack with a fleet of secrets, stages the incident, says what is known, and
    follows what you do in another shell. In the end it says how long it took, and what was missed.
    """
    from rotation.local.drill.scenarios import SCENARIOS  # noqa: PLC0415 - the extra [local]

    context = ctx.ensure_object(Context)
    if listing:
        titles = {name: kind.title for name, kind in SCENARIOS.items()}
        context.answer(titles, "\n".join(f"{name:<9}{text}" for name, text in titles.items()))
        return
    if scenario not in SCENARIOS:
        raise click.UsageError(f"no scenario {scenario}; one of: {', '.join(SCENARIOS)}", ctx)
    ctx.exit(_exercise(context, SCENARIOS[scenario](), **options))


def _exercise(
    context: Context,
    scenario: "Leak | Blocked | Revert",
    *,
    count: int,
    like: str,
    env_file: Path | None,
    auto: bool,
    minutes: float,
) -> int:
    import httpx  # noqa: PLC0415 - the extra [local]

    from rotation.local.drill.fleet import Fleet  # noqa: PLC0415
    from rotation.local.stack import Stack  # noqa: PLC0415

    wanted = _wanted(context, count, like)
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="rotation-drill-")))
        file = EnvFile(env_file or folder / "env")
        parts.callback(file.remove)
        stack = parts.enter_context(Stack())
        http = parts.enter_context(httpx.Client(trust_env=False, timeout=30))
        fleet = Fleet(stack, http, codec.POLICY)
        fleet.make(wanted)
        parts.enter_context(closing(scenario))
        ids = [wish.id for wish in wanted]
        scenario.stage(fleet, ids)
        _await_incident(scenario, fleet, ids)
        file.write(stack.environment())
        _tell(context, scenario, ids, file)
        began = time.monotonic()
        if auto:
            _play(context, scenario, ids, stack.environment(), folder)
        missing = _follow(context, scenario, fleet, ids, 1.0 if auto else minutes)
        return _judge(context, scenario, missing, time.monotonic() - began)


def _wanted(context: Context, count: int, like: str) -> "list[Wanted]":
    from rotation.local.drill.fleet import Wanted  # noqa: PLC0415 - the extra [local]

    if not like:
        return [Wanted(f"orders-{number:02}", _LABEL) for number in range(1, count + 1)]
    found = managed(context, (), like)
    if not found:
        raise PermanentError(f"no managed secret matches {like}", reason="no-match")
    kept = [(secret, _foreign(secret.labels)) for secret in found[:count]]
    return [Wanted(secret.name.secret_id, {**labels, **_LABEL}) for secret, labels in kept]


def _foreign(labels: Mapping[str, str]) -> dict[str, str]:
    """Leave out what says where a rotation of the real secret stands."""
    return {name: text for name, text in labels.items() if name not in codec.LABELS}


def _await_incident(
    scenario: "Leak | Blocked | Revert", fleet: "Fleet", ids: Sequence[str]
) -> None:
    ends = time.monotonic() + _STAGED_WITHIN
    while not scenario.is_staged(fleet, ids):
        if time.monotonic() > ends:
            raise TemporaryError("the incident did not show on the embedded stack")
        time.sleep(_LOOK_EVERY)


def _tell(
    context: Context, scenario: "Leak | Blocked | Revert", ids: Sequence[str], file: EnvFile
) -> None:
    context.say(f"drill: {scenario.title}")
    for line in scenario.briefing(ids):
        context.say(f"  {line}")
    context.say(f"in another shell: . {file}")
    context.say("then: rotation status, rotation --help; Ctrl-C here gives up")


def _play(
    context: Context,
    scenario: "Leak | Blocked | Revert",
    ids: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
) -> None:
    """Run the right commands, as a person would, each to its end."""
    for name, text in scenario.files().items():
        (folder / name).write_text(text, encoding="utf-8")
    for arguments in scenario.moves(ids):
        context.say(f"$ rotation {' '.join(arguments)}")
        root = str(Path(codec.__file__).parent.parent.parent)
        done = subprocess.run(  # noqa: S603 - our own commands
            [sys.executable, "-m", "rotation", *arguments],
            env={
                "PATH": os.defpath,
                "PYTHONPATH": root,
                "XDG_STATE_HOME": str(folder),
                **environment,
            },
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        for line in (done.stderr if done.returncode else done.stdout).splitlines()[-3:]:
            context.say(f"    {line}")


def _follow(
    context: Context,
    scenario: "Leak | Blocked | Revert",
    fleet: "Fleet",
    ids: Sequence[str],
    minutes: float,
) -> list[str]:
    """Look until nothing is missing, or the time is over; return what is."""
    ends = time.monotonic() + minutes * 60
    shown: list[str] = []
    while True:
        missing = list(scenario.missing(fleet, ids))
        if not missing or time.monotonic() > ends:
            return missing
        if missing != shown:
            for line in missing:
                context.say(f"  not over: {line}")
        shown = missing
        time.sleep(_LOOK_EVERY)


def _judge(
    context: Context, scenario: "Leak | Blocked | Revert", missing: Sequence[str], seconds: float
) -> int:
    body = {
        "scenario": scenario.name,
        "over": not missing,
        "seconds": round(seconds, 1),
        "missing": list(missing),
    }
    context.answer(body, "\n".join(_verdict(missing, seconds)))
    return NO if missing else OK


def _verdict(missing: Sequence[str], seconds: float) -> Iterator[str]:
    if not missing:
        yield f"the incident is over, after {seconds:.0f} s"
        return
    yield f"the incident is not over after {seconds:.0f} s"
    yield from (f"  {fault}" for fault in missing)
