"""Let a secret come to rest once nothing goes wrong any more, and say what is wrong there."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from rotation.local.demo import leaks
from tests.crash.consumers import Consumers
from tests.crash.history import Stored, key_of
from tests.crash.rules import Asked
from tests.crash.stage import Stage
from tests.support.stack.target import THEIRS, Target

#: Moves of the clock within which any rotation, and one more after it, comes to rest.
MOVES = 60
#: Seconds without a call or a delivery after which nothing is under way.
QUIET = 0.4
#: Seconds after which deliveries are taken to wait for something.
HELD = 3.0
TOKEN = "rotation_token"


def settle(stage: Stage, target: Target, consumers: Consumers, tell: Callable[[str], None]) -> None:
    """Move the clock from wait to wait until the secret is settled and nothing is under way.

    Raises:
        AssertionError: It never is.
    """
    looked = False
    for _ in range(MOVES):
        # A delivery may wait for the lease of a worker that was killed: then time has to pass.
        quiet = is_quiet(stage, HELD)
        consumers.pin()
        consumers.beat()
        if target.block:
            tell(f"blocked: {target.block['message']}")
            target.ask("unblock")
        elif target.phase != "settled":
            target.skip_wait()
            stage.scene.sweep()
        elif looked and quiet:
            return
        else:  # the sweep's check for drift and orphans
            looked = True
            target.wake("check")
        tell(f"{target.phase}, current {target.aliases.get('current')}")
    raise AssertionError(f"{target.id} never settles: {target.labels}")


def is_quiet(stage: Stage, seconds: float) -> bool:
    """Return whether no delivery is owed, and the function makes no call, within so long."""

    def counted() -> tuple[int, int]:
        return sum(stage.scene.controls.calls().values()), stage.stack.backlog()

    def quiet() -> bool:
        before = counted()
        time.sleep(QUIET if before[1] == 0 else 0.1)
        return before[1] == 0 and counted() == before

    ends = time.monotonic() + seconds
    while not quiet():
        if time.monotonic() > ends:
            return False
    return True


def at_rest(stage: Stage, target: Target, last: Stored, asked: list[Asked]) -> Iterator[str]:
    """Yield what is wrong with a settled secret, its database, and what was written."""
    stage.pair.await_replay()
    if target.phase != "settled" or target.block:
        yield f"not settled: {target.phase} {target.block}"
    if target.aliases.get("current") != target.receipt.get("current"):
        yield f"alias current is {target.aliases}, the receipt says {target.receipt['current']}"
    left = set(target.labels) - {TOKEN} - set(THEIRS["labels"])
    if left:
        yield f"labels are left: {sorted(left)}"
    if {k: target.annotations.get(k) for k in THEIRS["annotations"]} != THEIRS["annotations"]:
        yield "an annotation of others is lost"
    yield from _versions(target)
    yield from _logins(stage, target)
    yield from _answers(last, asked)
    yield from _leaks(stage, target)


def _versions(target: Target) -> Iterator[str]:
    current = target.payload(target.current)
    for number in target.enabled:
        if key_of(target.payload(number)) != key_of(current):
            yield f"version {number} is enabled beside {target.current}: {target.states}"
    if target.current not in target.enabled:
        yield f"the current version {target.current} is not enabled: {target.states}"
    with suppress(Exception):
        if key_of(target.latest()) == key_of(current):
            return
    yield f"latest does not serve the credential in force: {target.states}"


def _logins(stage: Stage, target: Target) -> Iterator[str]:
    """Every credential there ever was is tried on both nodes: one works, the others do not."""
    in_force = key_of(target.payload(target.current))
    made = {key_of(payload): payload for payload in stage.history.payloads()}
    for node in filter(None, (stage.pair.primary, stage.pair.standby)):
        for key, payload in made.items():
            here = {**payload, "host": node.host, "port": node.port}
            if key == in_force and not target.works(here):
                yield "the credential in force is another identity"
            if key != in_force and not target.refused(here):
                yield f"a credential of {payload['username']} that is not in force is not refused"


def _answers(last: Stored, asked: list[Asked]) -> Iterator[str]:
    """What was asked must have been done, whatever went wrong."""
    for place, ask in enumerate(asked):
        undone = any(later.kind == "revert" for later in asked[place:])
        if ask.kind == "emergency" and not undone and ask.in_force == last.in_force:
            yield "an emergency was asked for, and the credential of then is still in force"
    kinds = {ask.kind for ask in asked}
    if kinds and "revert" not in kinds and last.token <= 1:
        yield "nothing of what was asked was done"


def _leaks(stage: Stage, target: Target) -> Iterator[str]:
    scene = stage.scene
    texts = scene.evidence.places()
    passwords = {
        f"the {key}": payload["password"]
        for key, payload in ((key_of(payload), payload) for payload in stage.history.payloads())
    }
    events = "\n".join(f"{dict(m.attributes)} {m.data!r}" for m in scene.published())
    places = [
        leaks.Place("the servers' logs", stage.new_text(*stage.pair.logs), target.database),
        leaks.Place("the function's log", stage.new_text(stage.stack.function.log), target.id),
        leaks.Place("labels", texts["labels"].encode(), TOKEN),
        leaks.Place("annotations", texts["annotations"].encode(), "rotation.receipt"),
        leaks.Place("events", events.encode(), target.id),
        leaks.Place("processes", leaks.processes(), "functions_framework"),
    ]
    for place in places:
        if not place.is_read:
            yield f"{place.name}: not read, {place.control} is not in it"
    yield from leaks.find(places, passwords)
