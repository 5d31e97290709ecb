"""Sets the drill up, plays the rounds, searches for leaks; ends everything it started."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import psycopg

from rotation.engine import codec
from rotation.local.demo.scenes import first_credential
from rotation.local.demo.world import DATABASE, World, make_world, stack_options
from rotation.local.stack import Stack
from rotation.model.errors import RotationError
from tests.drill.conductor import Conductor, Watched, roster
from tests.drill.findings import Findings
from tests.drill.pooler import Pooler
from tests.drill.search import ProcessWatch, search

#: The schedule must not fire in between: the drill asks for its rotations.
_PERIOD: Final = timedelta(days=3650)
#: 32 pools that move to another credential hold twice their sessions for a moment.
_SETTINGS: Final = {"max_connections": "250", "log_disconnections": "on"}


@dataclass(frozen=True)
class DrillOptions:
    """How much, and what to tell whom."""

    rotations: int = 200
    emergencies: int = 50
    consumers: int = 32
    #: Called with one line now and then.
    say: Callable[[str], None] = print
    #: Called at every moment of a round: the world, the run's folder, the moment's name.
    at: Callable[[World, str], None] = lambda _world, _moment: None
    #: Keep the folder with everything that was written.
    keep: bool = False


def run_drill(options: DrillOptions) -> Findings:
    """Run the whole drill."""
    findings = Findings()
    with _folder(options) as folder, ExitStack() as parts:
        settings = {**stack_options().postgres_settings, **_SETTINGS}
        chosen = replace(stack_options(), data_dir=folder, postgres_settings=settings)
        stack = parts.enter_context(Stack(chosen))
        http = parts.enter_context(httpx.Client(trust_env=False, timeout=30))
        world = make_world(stack, http, codec.POLICY, _PERIOD)
        pooler = parts.enter_context(Pooler(stack.postgres, DATABASE, folder / "pgbouncer"))
        groups = roster(pooler.address, options.consumers)
        consumers = parts.enter_context(Watched(folder, groups))
        watch = parts.enter_context(ProcessWatch())

        def at(moment: str) -> None:
            watch.look()
            options.at(world, moment)

        conductor = Conductor(world, consumers, pooler, findings, at)
        options.say(f"PostgreSQL {stack.postgres.binaries.version}, {options.consumers} consumers")
        _play(conductor, options)
        search(world, findings, watch.place())
    return findings


def _play(conductor: Conductor, options: DrillOptions) -> None:
    try:
        first_credential(conductor.director)
        conductor.drain()
        _rounds("rotations", options.rotations, conductor.routine, conductor, options)
        _rounds("emergencies", options.emergencies, conductor.emergency, conductor, options)
    except (RotationError, httpx.HTTPError, psycopg.Error) as error:
        why = str(error) if isinstance(error, RotationError) else type(error).__name__
        conductor.findings.faults.append(f"the drill could not go on: {why}")
        for line in conductor.narrator.lines:
            options.say(line)


def _rounds(
    what: str,
    count: int,
    play: Callable[[int], None],
    conductor: Conductor,
    options: DrillOptions,
) -> None:
    began = time.monotonic()
    for number in range(1, count + 1):
        play(number)
        if number % 10 == 0 or number == count:
            found = conductor.findings
            seconds = time.monotonic() - began
            options.say(
                f"{number} of {count} {what}, {seconds / number:.1f} s each;"
                f" {len(found.unexpected)} unexpected failures, {len(found.late)} late"
            )


@contextmanager
def _folder(options: DrillOptions) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rotation-drill-"))
    folder.chmod(0o755)  # PostgreSQL may have to run as another user
    try:
        yield folder
    finally:
        if options.keep:
            options.say(f"kept, with passwords in it: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
