"""Wall time and client CPU of one rotation, handler to answer, with and without latency.

The floor is what no order of calls gets below on this machine: four calls one after the other,
the database's own time (verifier, ALTER ROLE, login), and the client's share of four calls.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from psycopg import sql

from rotation.kit.credentials.verifier import scram_verifier
from rotation.model.password import Password
from tests.bench.figures import Figure, Goal, spread
from tests.bench.instance import Instance, instance
from tests.bench.lab import DATABASE, Lab, cpu_seconds

SECRETS = 20
#: Calls one after the other, and the seconds each is answered later.
DEPTH, LATENCY = 4, 0.010
_REACH = Goal(1.15)


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    rounds = 1 if quick else 5
    with Lab() as lab, instance(lab) as running:
        ids = lab.secrets(SECRETS)
        for secret_id in ids:
            running.fire(secret_id)
        floor = _floor(lab, running, ids[0])
        for latency in (0.0, LATENCY):
            for name in ("warm", "cold"):
                samples = Samples()
                for _ in range(rounds):
                    running.settle(ids)
                    with lab.latency(latency):
                        _rotate(running, ids, samples, cold=name == "cold")
                yield from _figures(name, latency, samples, floor)
        yield from _server(lab, running)


class Samples:
    """Wall milliseconds of each rotation, and the CPU of them all."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu = 0.0

    def add(self, work: Callable[[], None]) -> None:
        cpu, began = time.process_time(), time.perf_counter()
        work()
        self.wall.append((time.perf_counter() - began) * 1000)
        self.cpu += (time.process_time() - cpu) * 1000


def _rotate(running: Instance, ids: list[str], samples: Samples, *, cold: bool) -> None:
    for secret_id in ids:
        if cold:
            running.forget()
        samples.add(lambda secret_id=secret_id: running.fire(secret_id))  # type: ignore[misc]


def _figures(
    name: str, latency: float, samples: Samples, floor: dict[str, float]
) -> Iterator[Figure]:
    cpu = samples.cpu / len(samples.wall)
    if not latency:
        yield from spread(
            f"wall, {name}, no latency",
            samples.wall,
            "ms",
            peer="79-84",
            p95_peer="109-114",
        )
        yield Figure(f"client CPU, {name}", cpu, "ms", Goal(10.5, "G3"), "41")
        return
    yield from spread(
        f"wall, {name}, 10 ms a call",
        samples.wall,
        "ms",
        Goal(75, "G2"),
        "243",
        p95_goal=Goal(90, "G2"),
    )
    lowest = floor[name]
    ratio = statistics.median(samples.wall) / lowest
    note = f"the floor on this machine: {lowest:.1f} ms"
    yield Figure(f"wall, {name}, 10 ms a call / floor", ratio, "x", _REACH, "", note)


def _floor(lab: Lab, running: Instance, secret_id: str) -> dict[str, float]:
    """Return the floor in ms, with and without the admin's login."""
    login = _login(lab)
    database = _verifier() + _alter(lab, secret_id) + login
    warm = DEPTH * (LATENCY * 1000 + _call(running)) + database
    return {"warm": warm, "cold": warm + login}


def _timed(work: Callable[[], object], runs: int = 40) -> float:
    samples = Samples()
    for _ in range(runs):
        samples.add(lambda: work() and None)
    return statistics.median(samples.wall)


def _verifier() -> float:
    return _timed(lambda: scram_verifier(Password("x" * 40), 4096))


def _alter(lab: Lab, secret_id: str) -> float:
    verifier = scram_verifier(Password("x" * 40), 4096)
    role = sql.Identifier(f"{secret_id}_a")
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier))
    with lab.postgres.connect() as connection:
        return _timed(lambda: connection.execute(statement))


def _login(lab: Lab) -> float:
    return _timed(lambda: closing(lab.postgres.connect(DATABASE)).__enter__().close())


def _call(running: Instance) -> float:
    store = running.store
    name = next(iter(store.list())).name
    return _timed(lambda: store.get(name), 200)


def _server(lab: Lab, running: Instance) -> Iterator[Figure]:
    """Yield what the embedded server itself costs: it must not be what is measured."""
    calls, before = 1000, cpu_seconds(lab.services.pid)
    began = time.perf_counter()
    for _ in range(calls // 200):
        _call(running)
    seconds = time.perf_counter() - began
    cpu = (cpu_seconds(lab.services.pid) - before) / calls * 1000
    note = "beside the client, in a process of its own"
    yield Figure("embedded server, CPU of one call", cpu, "ms", None, "", note)
    yield Figure("GetSecret, one after the other", calls / seconds, "/s", None, "", note)
