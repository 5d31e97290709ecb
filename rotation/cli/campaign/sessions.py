"""Looks who is on the active slots, within a bounded time: what an emergency is going to end.

1. No payload of a consumer is read: the witness that the issuer asks for is one that nobody uses,
   so an issuer may say that it could not prove its sight.  A count is "at least so many".
2. What cannot be looked at is counted and said with its reason, never taken for nobody.
3. Where no record tells which slot is active, both are looked at.
4. Nothing is changed, and when the time is over nobody is waited for.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass

from rotation.cli.views.context import Context
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import RotationError
from rotation.ports.issuer import Issuer

_THREADS = 8


@dataclass(frozen=True)
class Sight:
    """What was seen of all active slots."""

    sessions: int
    #: Secrets whose active slot was looked at.
    looked: int
    #: How many could not be looked at, by reason.
    unseen: Counter[str]


def look(context: Context, snapshots: Sequence[Snapshot], seconds: float) -> Sight:
    """Count the sessions on the active slots, for so many seconds at most."""
    ends = threading.Event()

    def count(snapshot: Snapshot) -> int | str:
        return "no time was left" if ends.is_set() else _count(context, snapshot)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        futures = [pool.submit(count, each) for each in snapshots]
        done, _ = wait(futures, seconds)
    finally:
        ends.set()
        pool.shutdown(wait=False, cancel_futures=True)
    seen = [each.result() for each in done]
    unseen = Counter(each for each in seen if isinstance(each, str))
    if late := len(futures) - len(done):
        unseen["no time was left"] += late
    counts = [each for each in seen if isinstance(each, int)]
    return Sight(sum(counts), len(counts), unseen)


def _count(context: Context, snapshot: Snapshot) -> int | str:
    if snapshot.policy is None:
        return "no policy"
    try:
        with closing(context.issuer(snapshot.policy)) as issuer:
            slots = issuer.slots()
            active = [slot for slot in slots if snapshot.slot in {slot, ""}]
            return sum(_on(issuer, slot, *(set(slots) - {slot})) for slot in active)
    except RotationError as error:
        return error.reason


def _on(issuer: Issuer, slot: str, idle: str) -> int:
    witness = issuer.propose(idle, "nobody", None)
    return len(issuer.observe(slot, witness).sessions)
