"""Memory of the function's process: loaded, after a thousand rotations, and at 32 threads."""

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


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    count = 50 if quick else ROTATIONS // 2
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
            said = f"growth over {2 * count} rotations"
            yield Figure(said, grown, "MiB", Goal(1, "G6"), "", note)
            few = resident(pid, peak=True)
            yield Figure("peak", few, "MiB", Goal(85, "G6"), "47.8-51.7")
        fresh = lab.secrets(_BUSY)
        with function(lab, threads=MANY_THREADS) as process:
            pid = worker(process)
            _rotate(process, template, fresh, MANY_THREADS)
            many = resident(pid, peak=True)
            said = f"peak with {MANY_THREADS} threads / with {THREADS}: more"
            yield Figure(said, many - few, "MiB", Goal(10, "G6"), "", f"{_BUSY} rotations")


def _rotate(process: FunctionProcess, template: Instance, ids: Sequence[str], at_once: int) -> None:
    """Have each secret rotated by the process, so many at once."""
    with httpx.Client(trust_env=False, timeout=60) as client, ThreadPoolExecutor(at_once) as pool:

        def fire(secret_id: str) -> None:
            body = template.body(eventType="SECRET_ROTATE", secretId=full_name(secret_id))
            answer = client.post(
                process.url, content=body, headers={"content-type": "application/json"}
            )
            assert answer.status_code == 204, answer.status_code

        list(pool.map(fire, ids))
