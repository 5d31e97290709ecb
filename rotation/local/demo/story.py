"""The order of the scenes, from an empty folder to the summary.

Rules of this module:
  1. A scene that cannot go on fails its claim; what was found so far is still summed up.
  2. Processes, connections and the folder are gone when `run_demo` returns or raises.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg

from rotation.local.demo import leaks
from rotation.local.demo.consumers import Consumers
from rotation.local.demo.director import Director, Stopwatch
from rotation.local.demo.emergency import emergency
from rotation.local.demo.leaks import Place
from rotation.local.demo.narrator import Narrator
from rotation.local.demo.rollout import staged_rollout
from rotation.local.demo.scenes import (
    deliveries_at_once,
    first_credential,
    killed_in_the_middle,
    schedule_fires,
)
from rotation.local.demo.summary import Summary, summarize
from rotation.local.demo.world import SLOTS, World, make_world, stack_options
from rotation.local.stack import Stack
from rotation.model.errors import RotationError


@dataclass(frozen=True)
class DemoOptions:
    """How the demo is run."""

    #: Annotation that holds a secret's policy.
    policy_key: str
    #: Folder to keep everything in; None: a private one that is removed at the end.
    data_dir: Path | None = None


def run_demo(narrator: Narrator, options: DemoOptions) -> Summary:
    """Run every scene; return what was found.

    Raises:
        RotationError: The stack could not be started.
    """
    watch = Stopwatch()
    with ExitStack() as parts:
        narrator.scene("the embedded stack starts")
        stack = parts.enter_context(Stack(replace(stack_options(), data_dir=options.data_dir)))
        http = parts.enter_context(httpx.Client(trust_env=False, timeout=30))
        consumers = parts.enter_context(Consumers(stack.folder))
        world = make_world(stack, http, options.policy_key)
        server = stack.postgres.binaries.version
        narrator.line(f"PostgreSQL {server}, Secret Manager, Pub/Sub, scheduler, the function")
        director = Director(world, consumers, narrator, options.policy_key)
        processes: list[bytes] = []
        _play(director, _scenes(director, stack.folder / "killed"), processes)
        _search(director, processes)
        return summarize(director.findings, world, watch.seconds)


def _scenes(director: Director, marker: Path) -> list[Callable[[], None]]:
    return [
        lambda: first_credential(director),
        lambda: schedule_fires(director),
        lambda: killed_in_the_middle(director, marker),
        lambda: deliveries_at_once(director),
        lambda: emergency(director),
        lambda: staged_rollout(director, director.world.stack.folder / "shop"),
    ]


def _play(director: Director, scenes: list[Callable[[], None]], processes: list[bytes]) -> None:
    """Play the scenes until one cannot go on; look at the processes after each."""
    for scene in scenes:
        try:
            scene()
        except (RotationError, httpx.HTTPError, psycopg.Error) as error:
            # What a service says is not for the screen: nobody knows what it quotes.
            why = str(error) if isinstance(error, RotationError) else type(error).__name__
            director.claim("the demo goes on", why, held=False)
            return
        processes.append(leaks.processes())


def _search(director: Director, processes: list[bytes]) -> None:
    director.scene("searching everything that was written")
    world = director.world
    passwords = _passwords(world)
    places = _places(world, b"\n".join([*processes, leaks.processes()]), director.kept)
    detail, held = leaks.judge(places, passwords)
    director.claim(f"none of {len(passwords)} passwords was written anywhere", detail, held=held)


def _passwords(world: World) -> dict[str, str]:
    world.versions()
    minted = {f"version {n}'s": payload["password"] for n, payload in world.payloads.items()}
    return {**minted, **world.further}


def _places(world: World, processes: bytes, kept: Mapping[str, bytes]) -> list[Place]:
    stack = world.stack
    consumers = stack.folder / "consumers.log"
    secret = json.dumps(world.described()).encode()
    places = [
        Place("PostgreSQL's log", stack.postgres.log_path.read_bytes(), SLOTS[0]),
        Place("the function's log", stack.function.log.read_bytes(), world.secret),
        Place("labels and annotations", secret, world.secret),
        Place("every event", "\n".join(world.events()).encode(), world.secret),
        # Normally empty, so nothing must be in it.
        Place("the consumers' log", consumers.read_bytes(), ""),
        *(Place(name, text, "secrets.lock") for name, text in kept.items()),
    ]
    if leaks.can_see_processes():
        places.append(Place("command lines and environments", processes, "demo.client"))
    return places
