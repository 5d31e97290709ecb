"""What many secrets cost: a sweep over all of them, and one rotation among them."""

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rotation.engine import codec
from rotation.model.names import SecretName
from rotation.model.phase import Mode
from rotation.model.rotation import Receipt, State
from rotation.model.secret import Secret
from tests.bench.figures import Figure, Goal
from tests.bench.instance import Instance, instance
from tests.bench.lab import Lab, full_name

FEW = 100
ROTATIONS = 20
PERIOD = timedelta(days=21)
_SWEEPS = 5
_SELF = Path("/proc/self")


def measure(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures."""
    many = 2_000 if quick else 10_000
    with (
        Lab() as few_lab,
        instance(few_lab) as few,
        Lab() as many_lab,
        instance(many_lab) as running,
    ):
        here, there = few_lab.secrets(ROTATIONS), many_lab.secrets(ROTATIONS)
        _fill(few_lab, FEW - len(here))
        _fill(many_lab, many - len(there) - 1)  # the rotator's secret is one more
        yield from _sweep(many_lab, running, many, quick=quick)
        few_side, many_side = Side(few_lab, few, here), Side(many_lab, running, there)
        for _ in range(1 if quick else 3):
            _rotate_in_pairs(few_side, many_side)
        yield from _compared(few_side, many_side, many)


def _fill(lab: Lab, count: int) -> None:
    """Add secrets that were rotated last week and are not due for three weeks."""
    made = [_settled(lab, f"filler-{count}-{number}") for number in range(count)]
    for start in range(0, count, 1000):
        lab.services.ask("create", made=made[start : start + 1000])


def _settled(lab: Lab, secret_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    receipt = Receipt(
        id="20261001t000000-0000-7",
        outcome="rotated",
        mode=Mode.ROUTINE,
        started_at=now - timedelta(days=7),
        settled_at=now - timedelta(days=6),
        current=7,
        last=7,
        previous=6,
        handle=f"{secret_id}_a",
        reason="schedule",
        request_id="1",
        digest="0" * 64,
        scheduled=now + PERIOD,
    )
    name = SecretName.parse(full_name(secret_id))
    policy = {codec.POLICY: json.dumps(lab.policy(secret_id))}
    secret = Secret(name, '"0"', now, labels={"team": "db"}, annotations=policy)
    maps = codec.encode(State(token=7, receipt=receipt, current=7), secret)
    return {
        "secret_id": secret_id,
        "labels": maps.labels,
        "annotations": maps.annotations,
        "next_rotation": PERIOD.total_seconds(),
    }


def _sweep(lab: Lab, running: Instance, many: int, *, quick: bool) -> Iterator[Figure]:
    before = _peak(anew=True)
    wall, cpu = [], []
    for _ in range(1 if quick else _SWEEPS):
        lab.calls()
        began, used = time.perf_counter(), time.process_time()
        running.deliver(eventType="ROTATION_SWEEP")
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    calls = len(lab.calls())
    grown = _peak() - before
    none = "no sweep exists"
    name = f"sweep of {many} secrets"
    yield Figure(f"{name}: calls", calls, "", Goal(many / 1000, "G8"), none)
    yield Figure(f"{name}: CPU", statistics.median(cpu), "ms", Goal(200, "G8"), none)
    yield Figure(f"{name}: wall", statistics.median(wall), "ms", None, none)
    yield Figure(f"{name}: memory", grown, "MiB", Goal(10, "G8"), none)


def _peak(*, anew: bool = False) -> float:
    """Return the largest resident size of this process so far, in MiB."""
    if anew:
        (_SELF / "clear_refs").write_text("5")
    status = (_SELF / "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class Side:
    """Rotations among so many secrets: the wall time of each in ms, and the calls of them all."""

    def __init__(self, lab: Lab, running: Instance, ids: list[str]) -> None:
        self.lab = lab
        self.running = running
        self.ids = ids
        self.wall: list[float] = []
        self.calls: Counter[str] = Counter()
        for secret_id in ids:
            running.fire(secret_id)

    def rotate(self, secret_id: str) -> None:
        began = time.perf_counter()
        self.running.fire(secret_id)
        self.wall.append((time.perf_counter() - began) * 1000)

    def take_calls(self) -> Counter[str]:
        return Counter(name for name, *_ in self.lab.calls())


def _rotate_in_pairs(few: Side, many: Side) -> None:
    """Rotate here and there in turn, so that what disturbs one disturbs the other."""
    for side in (few, many):
        side.running.settle(side.ids)
        side.take_calls()
    for here, there in zip(few.ids, many.ids, strict=True):
        few.rotate(here)
        many.rotate(there)
    for side in (few, many):
        side.calls += side.take_calls()


def _compared(few: Side, many: Side, count: int) -> Iterator[Figure]:
    title = f"a rotation among {count} secrets / among {FEW}"
    calls = many.calls.total() / few.calls.total()
    calls_each = ", ".join(
        f"{name} {n / len(many.wall):g}" for name, n in sorted(many.calls.items())
    )
    yield Figure(f"{title}: calls", calls, "x", Goal(1, "G8"), "", calls_each)
    pairs = [there / here for here, there in zip(few.wall, many.wall, strict=True)]
    note = f"median of {len(pairs)} pairs"
    yield Figure(f"{title}: wall", statistics.median(pairs), "x", Goal(1.05, "G8"), "", note)
