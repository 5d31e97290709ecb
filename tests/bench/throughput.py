"""Rotations a second of one instance, by threads, with 10 ms a call and a warm admin connection.

Client, server and PostgreSQL share the cores: floors, not capacities.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench.figures import Figure, Goal
from tests.bench.instance import Instance, instance
from tests.bench.lab import Lab, cpu_seconds
from tests.bench.times import LATENCY

#: As many as an instance keeps admin connections for.
SECRETS = 64
THREADS = (1, 4, 8, 16, 32)
_GOALS = {8: Goal(60, "G7", at_least=True)}


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    with Lab() as lab, instance(lab) as running:
        ids = lab.secrets(8 if quick else SECRETS)
        for secret_id in ids:
            running.fire(secret_id)
        for threads in (8,) if quick else THREADS:
            with lab.latency(LATENCY):
                yield from _rate(lab, running, ids, threads)
            running.settle(ids)


def _rate(lab: Lab, running: Instance, ids: list[str], threads: int) -> Iterator[Figure]:
    before = cpu_seconds(lab.services.pid)
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(running.fire, ids))
        seconds = time.perf_counter() - began
    busy = (cpu_seconds(lab.services.pid) - before) / seconds
    note = f"{len(ids)} rotations; the embedded server was busy {busy:.0%} of one core"
    peer = "11-20 (1 to 4 processes, no latency)" if threads in _GOALS else ""
    yield Figure(
        f"rotations, {threads} threads", len(ids) / seconds, "/s", _GOALS.get(threads), peer, note
    )
