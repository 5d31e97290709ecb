"""Memory of the function's process: loaded, after a thousand rotations, and at 32 threads.

1. That rotations leave nothing behind is counted in Python: objects, and blocks of its allocator.
   Resident sizes depend on the native allocator and on the machine; they are shown, and judged
   only where a limit of the platform is meant.
"""

import gc
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from rotation.local.stack.function import FunctionProcess
from tests.bench.figures import Figure, Goal
from tests.bench.instance import Instance, instance
from tests.bench.lab import Lab, full_name
from tests.bench.process import function, resident, worker

#: Enough to fill every cache of a process: it keeps 64 issuers.
WARM_UP = 100
ROTATIONS = 1_000
#: Deliveries at once, as `--concurrency=4` lets through.
THREADS, MANY_THREADS = 4, 32
_BUSY = 200
#: Objects and blocks kept of a rotation: pools and caches breathe by less, a leak is one or more.
_KEPT = 0.8


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    yield from _left_behind()
    if not quick:
        yield from _resident()


def _left_behind() -> Iterator[Figure]:
    """Rotate in this process, and count what there is before and after."""
    with Lab() as lab, instance(lab) as running, ThreadPoolExecutor(THREADS) as pool:
        ids = lab.secrets(WARM_UP + ROTATIONS // 2)

        def rotate(some: Sequence[str]) -> None:
            for _ in range(2):  # a first rotation, and one that has a previous credential
                list(pool.map(running.fire, some))

        rotate(ids[:WARM_UP])
        objects, blocks = _counted()
        rotate(ids[WARM_UP:])
        more_objects, more_blocks = _counted()
    note = f"{ROTATIONS} rotations after {2 * WARM_UP} others, {THREADS} at once"
    for what, more in (("objects", more_objects - objects), ("blocks", more_blocks - blocks)):
        kept = more / ROTATIONS
        yield Figure(f"{what} kept of a rotation", kept, "", Goal(_KEPT, "G6"), "", note)


def _counted() -> tuple[int, int]:
    """Return how many objects and blocks are alive."""
    for _ in range(3):
        gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks()


def _resident() -> Iterator[Figure]:
    count = ROTATIONS // 2
    with Lab() as lab, instance(lab) as template:
        ids = lab.secrets(WARM_UP + count)
        with function(lab, threads=THREADS) as process:
            pid = worker(process)
            _rotate(process, template, ids[:1], THREADS)
            yield Figure(
                "loaded, one rotation", resident(pid, peak=True), "MiB", Goal(85, "G6"), "47.8-51.7"
            )
            for _ in range(2):  # a first rotation, and one that has a previous credential
                _rotate(process, template, ids[1:WARM_UP], THREADS)
            before = resident(pid)
            for _ in range(2):
                _rotate(process, template, ids[WARM_UP:], THREADS)
            grown = resident(pid) - before
            note = f"after {WARM_UP} others, {THREADS} at once"
            name = f"growth over {2 * count} rotations"
            yield Figure(name, grown, "MiB", None, "", f"{note}; by the native allocator")
            few = resident(pid, peak=True)
            yield Figure("peak", few, "MiB", Goal(85, "G6"), "47.8-51.7")
        fresh = lab.secrets(_BUSY)
        with function(lab, threads=MANY_THREADS) as process:
            pid = worker(process)
            _rotate(process, template, fresh, MANY_THREADS)
            many = resident(pid, peak=True)
            name = f"peak with {MANY_THREADS} threads / with {THREADS}: more"
            yield Figure(name, many - few, "MiB", Goal(10, "G6"), "", f"{_BUSY} rotations")


def _rotate(process: FunctionProcess, template: Instance, ids: Sequence[str], at_once: int) -> None:
    """Have each secret rotated by the process, so many at once."""
    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(at_once) as pool:
        authorization = template._lab.authorization()
        headers = {"content-type": "application/json", "authorization": authorization}

        def fire(secret_id: str) -> None:
            body = template.body(eventType="SECRET_ROTATE", secretId=full_name(secret_id))
            answer = client.post(process.url, content=body, headers=headers)
            assert answer.status_code == 204, answer.status_code

        list(pool.map(fire, ids))
