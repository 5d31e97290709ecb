"""What one rotation costs in calls, logins, statements and round trips: exact, the same every time.

Calls are counted where they arrive, round trips by a relay in front of the database, logins and
statements in the server's own log.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from rotation.engine.crashpoints import CrashPoint
from tests.bench.figures import Figure, Goal
from tests.bench.instance import Instance, depth, instance
from tests.bench.lab import LOGGED, Lab, full_name
from tests.bench.server import Call
from tests.support.postgresql.wire import Wire

WRITES = ("UpdateSecret", "AddSecretVersion")
_METHODS = ("GetSecret", "UpdateSecret", "AccessSecretVersion", "AddSecretVersion")
_STATEMENT = re.compile(
    r"LOG:  (?:statement|execute [^:]*): (.*?)(?=^\d{4}-|\Z)", re.DOTALL | re.MULTILINE
)
_LATENCY = 0.02
_PEER_CALLS = "14"


class KilledError(BaseException):
    """Stands for the end of the process: nothing catches it."""


@dataclass(frozen=True)
class Cost:
    """What one delivery cost."""

    calls: list[Call]
    logins: int
    statements: int
    round_trips: int

    @property
    def by_method(self) -> Counter[str]:
        return Counter(name for name, *_ in self.calls)

    @property
    def writes(self) -> int:
        return sum(self.by_method[name] for name in WRITES)


class Counting:
    """Counts what a piece of work costs."""

    def __init__(self, lab: Lab, wire: Wire) -> None:
        self._lab = lab
        self._wire = wire

    def cost(self, work: Callable[[], object]) -> Cost:
        log = self._lab.postgres.log_path
        before = len(log.read_bytes())
        self._lab.calls()
        self._wire.reset()
        work()
        log_text = log.read_bytes()[before:].decode(errors="replace")
        return Cost(
            calls=self._lab.calls(),
            logins=log_text.count("connection authorized:"),
            statements=sum(_count(text) for text in _STATEMENT.findall(log_text)),
            round_trips=self._wire.round_trips,
        )


def _count(text: str) -> int:
    """One message may carry several statements, one to a line."""
    return len(re.findall(r";\s*$", text.rstrip().rstrip(";"), re.MULTILINE)) + 1


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures; they are so exact that there is no shorter way."""
    del quick
    with Lab(**LOGGED) as lab, Wire(lab.postgres.port) as wire:
        lab.port = wire.port
        yield from _measured(lab, wire)


def _measured(lab: Lab, wire: Wire) -> Iterator[Figure]:
    with instance(lab) as running:
        ids = lab.secrets(4)
        for secret_id in ids:
            running.fire(secret_id)
        counting = Counting(lab, wire)
        with lab.latency(_LATENCY):
            warm = counting.cost(lambda: running.fire(ids[0]))
            running.forget()
            cold = counting.cost(lambda: running.fire(ids[1]))
        yield from _rotation("warm", warm, calls=5, logins=1)
        yield from _rotation("cold", cold, calls=6, logins=2)
        yield from _deliveries(lab, counting, running, ids[0])
        yield _recovery(lab, counting, running, ids[2])
        yield _to_the_end(counting, running, ids[3])
        yield _leaks(lab, ids)


def _rotation(name: str, cost: Cost, *, calls: int, logins: int) -> Iterator[Figure]:
    total = len(cost.calls)
    yield Figure(f"calls, {name}", total, "", Goal(calls, "G1"), _PEER_CALLS)
    for method in _METHODS:
        yield Figure(f"calls, {name}: {method}", cost.by_method[method])
    yield Figure(f"writes, {name}", cost.writes, "", Goal(3, "G1"), "2 (+1)")
    yield Figure(f"calls one after the other, {name}", depth(cost.calls), "", Goal(4, "G2"), "14")
    yield Figure(f"logins, {name}", cost.logins, "", Goal(logins, "G4"), "4 (1 fails on purpose)")
    yield Figure(f"statements, {name}", cost.statements, "", None, "12", "BEGIN, SET, COMMIT too")
    yield Figure(f"round trips to the database, {name}", cost.round_trips, "", Goal(13, "G4"), "28")


def _deliveries(
    lab: Lab, counting: Counting, running: Instance, secret_id: str
) -> Iterator[Figure]:
    again = running.body(eventType="SECRET_ROTATE", secretId=full_name(secret_id))
    duplicate = counting.cost(lambda: running.application.handle("application/json", again))
    yield Figure("calls, duplicate event", len(duplicate.calls), "", Goal(1, "G1"))
    noise = counting.cost(
        lambda: running.deliver(eventType="SECRET_UPDATE", secretId=full_name(secret_id))
    )
    yield Figure("calls, event that is not for us", len(noise.calls), "", Goal(0, "G1"))


def _recovery(lab: Lab, counting: Counting, running: Instance, secret_id: str) -> Figure:
    running.wake(secret_id)  # warm again
    with _killed_at(running, CrashPoint.ADDED):
        running.fire(secret_id)
    lab.advance(timedelta(minutes=11))
    resumed = counting.cost(lambda: running.wake(secret_id))
    name = "calls, delivery that resumes after a kill behind AddSecretVersion"
    return Figure(name, len(resumed.calls), "", Goal(7, "G1"), "", _listed(resumed.by_method))


@contextmanager
def _killed_at(running: Instance, point: CrashPoint) -> Iterator[None]:
    worker = running.worker
    parts = worker._parts

    def reach(reached: CrashPoint) -> None:
        if reached is point:
            raise KilledError

    worker._parts = replace(parts, tools=replace(parts.tools, reach=reach))
    try:
        yield
    except KilledError:
        pass
    finally:
        worker._parts = parts


def _to_the_end(counting: Counting, running: Instance, secret_id: str) -> Figure:
    def whole() -> None:
        running.fire(secret_id)
        running.settle([secret_id])

    cost = counting.cost(whole)
    note = f"soak, suspend, watch, revoke, destroy: {_listed(cost.by_method)}"
    return Figure("calls, to the end of the retirement", len(cost.calls), "", None, "14", note)


def _leaks(lab: Lab, ids: list[str]) -> Figure:
    log = lab.postgres.log_path.read_text(errors="replace")
    stored = [lab.services.ask("payloads", number=number) for number in (1, 2)]
    passwords = [payloads[secret_id]["password"] for payloads in stored for secret_id in ids[:2]]
    found = sum(password in log for password in passwords)
    return Figure("passwords in the server's log", found, "", Goal(0, "G4"), "clear text")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
