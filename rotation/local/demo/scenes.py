"""The routine scenes: the first credential, a firing, a killed worker, deliveries at once."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from rotation.local.demo.deliveries import Delivery, deliver_at_once, deliver_until_accepted
from rotation.local.demo.director import Director, by_method, reached
from rotation.local.demo.narrator import DemoError
from rotation.local.demo.world import LEASE, SOAK

#: Calls until the next version is in force, by a worker that has just started.
FEWEST_COLD: Final = 6
#: Answer of the function that asks for another delivery.
_AGAIN: Final = 503
#: Stop moving the clock this long before a firing: no sweep shall be counted with it.
_BEFORE: Final = timedelta(minutes=1)


def first_credential(director: Director) -> None:
    """Give the database its first credential, and the consumers their work."""
    director.scene("the first credential")
    world = director.world
    director.count_from_here()
    director.publish(eventType="SECRET_ROTATE", secretId=world.secret)
    director.await_phase("settled")
    director.counted("first credential")
    current = world.current()
    states = world.versions()
    director.claim(
        "the first rotation mints the first version",
        f"versions: {_states(states)}",
        held=current == 1,
    )
    if current != 1:
        raise DemoError("without a first credential there is nothing to rotate")
    director.consumers.begin(world.stack.services.consumer_grpc, world.secret, current)
    reports = director.consumers.reports()
    bindings = [entry.binding for entry in reports]
    kinds = ", ".join(f"{bindings.count(kind)} {kind}" for kind in dict.fromkeys(bindings))
    director.line(f"{len(reports)} consumer processes start: {kinds}")
    director.await_moved(current, pinned=True)


def schedule_fires(director: Director) -> None:
    """Rotate because Secret Manager says so; wait for consumers that lag behind."""
    director.scene("the schedule fires")
    world, before = director.world, director.consumers.tally()
    version = _before_the_firing(director)
    director.count_from_here()
    director.move_clock(world.next_firing() - world.now() + timedelta(seconds=1))
    director.await_phase("soaking")
    calls = director.counted("schedule")
    total = sum(calls.values())
    director.claim(
        f"published with at most {FEWEST_COLD} calls of Secret Manager",
        f"{total}: {by_method(calls)}",
        held=total <= FEWEST_COLD,
    )
    director.await_moved(version + 1, pinned=False)
    _retire_by_evidence(director, version + 1)
    _claim_one_new(director, version)
    director.claim_unnoticed("the scheduled rotation", before)


def killed_in_the_middle(director: Director, marker: Path) -> None:
    """Kill the worker between adding a version and recording it."""
    director.scene("killed in the middle")
    world, before = director.world, director.consumers.tally()
    function, version = world.stack.function, max(world.versions())
    function.kill()
    function.start(ROTATION_CRASH_AT="added:kill", ROTATION_CRASH_MARKER=str(marker))
    workers = set(function.children())
    director.line("the function starts again, to be killed by SIGKILL once it has added a version")
    director.count_from_here()
    director.publish(**world.request(mode="routine", reason="demo", requested_by="demo"))
    director.await_claimed()
    director.wait("the kill", marker.exists)
    director.wait("the end of the worker", lambda: workers.isdisjoint(function.children()))
    states, current = world.versions(), world.current()
    director.line(
        f"killed: version {max(states)} exists, current is still {current}; "
        f"the lease ends after {LEASE.total_seconds():.0f} s, the message is delivered again"
    )
    director.await_phase("soaking")
    director.counted("killed and resumed")
    director.claim(
        "a redelivery adopts what the dead worker left: one new version",
        f"versions: {_states(world.versions())}",
        held=set(world.versions()) == {*states} == {*range(1, version + 2)},
    )
    _finish(director, version + 1)
    _claim_one_new(director, version)
    director.claim_unnoticed("the kill", before)


def deliveries_at_once(director: Director) -> None:
    """Deliver the same message several times and a second request, all at the same moment."""
    director.scene("conflicting deliveries at once")
    world, before = director.world, director.consumers.tally()
    version, url, token = max(world.versions()), world.stack.function.url, world.stack.push_token()
    first = world.request(mode="routine", request_id="demo-1", requested_by="demo")
    second = world.request(mode="routine", request_id="demo-2", requested_by="demo")
    posts = [
        Delivery(message_id, attributes, world.now())
        for message_id, attributes in (("1", first), ("1", first), ("2", second), ("2", second))
    ]
    director.count_from_here()
    world.publish_together(first, first, second)
    answers = deliver_at_once(url, token, posts)
    director.await_phase("soaking")
    director.line(f"4 requests posted at one moment beside 3 messages; answered {answers}")
    for post, answer in zip(posts, answers, strict=True):
        if answer == _AGAIN:
            deliver_until_accepted(url, token, post)
    director.wait("the end of all deliveries", lambda: world.stack.backlog() == 0)
    calls = director.counted("7 deliveries at once")
    director.line(f"together they cost {sum(calls.values())} calls: {by_method(calls)}")
    late = _late_repeat(director, posts[0])
    director.claim("a late repeat costs one call", by_method(late), held=late == {"GetSecret": 1})
    _finish(director, version + 1)
    _claim_one_new(director, version)
    director.claim_unnoticed("the conflict", before)


def _late_repeat(director: Director, post: Delivery) -> dict[str, int]:
    director.count_from_here()
    stack = director.world.stack
    deliver_until_accepted(stack.function.url, stack.push_token(), post)
    return director.counted()


def _before_the_firing(director: Director) -> int:
    """Move the clock close to the firing and past the sweep; return the version in force."""
    world = director.world
    fires = world.next_firing()
    director.line(f"the next rotation is scheduled for {fires:%Y-%m-%d %H:%M:%SZ}")
    director.move_clock(fires - world.now() - _BEFORE)
    director.await_sweep()
    return max(world.versions())


def _retire_by_evidence(director: Director, version: int) -> None:
    """Show that the previous credential stays while somebody uses it, then let it go."""
    director.move_clock(SOAK + timedelta(seconds=2))
    entry = director.await_phase("suspending", "observing")
    note = str(entry["message"])
    director.claim(
        "the previous credential stays while pinned consumers use it",
        note.partition(": ")[2],
        held=reached(entry) == "suspending" and "still use" in note,
    )
    director.deploy(version)
    director.await_moved(version, pinned=True)
    director.settle(reached(entry))


def _finish(director: Director, version: int) -> None:
    """Let everybody move within the soak, and the rotation settle."""
    director.await_moved(version, pinned=False)
    director.deploy(version)
    director.await_moved(version, pinned=True)
    director.settle(brief=True)


def _claim_one_new(director: Director, before: int) -> None:
    states = director.world.versions()
    enabled = [number for number, state in states.items() if state == "ENABLED"]
    director.claim(
        "exactly one version more, the only one enabled; the previous is destroyed",
        f"versions: {_states(states)}",
        held=max(states) == before + 1
        and enabled == [before + 1]
        and states[before] == "DESTROYED"
        and director.world.current() == before + 1,
    )


def _states(states: dict[int, str]) -> str:
    return ", ".join(f"{number} {state.lower()}" for number, state in states.items())
