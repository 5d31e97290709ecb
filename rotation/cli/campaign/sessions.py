"""Looks who uses the credentials in force, within a bounded time: what an emergency will end.

1. No payload is read, so there is no witness, and an issuer cannot prove that it sees everybody.
   A count is "at least so many".
2. Secrets that cannot be looked at are counted by reason, never taken for unused.
3. Where no record has the handle of the credential in force, every handle is looked at.
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
from rotation.ports.issuer import SeesUse

_THREADS = 8


@dataclass(frozen=True)
class SessionCount:
    """Who uses the credentials in force, all together."""

    sessions: int
    #: Secrets whose credential in force was looked at.
    looked: int
    #: How many could not be looked at, by reason.
    unseen: Counter[str]


def look(context: Context, snapshots: Sequence[Snapshot], seconds: float) -> SessionCount:
    """Count the sessions with the credentials in force, for so many seconds at most."""
    ends = threading.Event()

    def count(snapshot: Snapshot) -> int | str:
        return "no time was left" if ends.is_set() else _count(context, snapshot)

    pool = ThreadPoolExecutor(_THREADS)
    try:
        futures = [pool.submit(count, snapshot) for snapshot in snapshots]
        done, _ = wait(futures, seconds)
    finally:
        ends.set()
        pool.shutdown(wait=False, cancel_futures=True)
    answers = [future.result() for future in done]
    unseen = Counter(answer for answer in answers if isinstance(answer, str))
    if late := len(futures) - len(done):
        unseen["no time was left"] += late
    counts = [answer for answer in answers if isinstance(answer, int)]
    return SessionCount(sum(counts), len(counts), unseen)


def _count(context: Context, snapshot: Snapshot) -> int | str:
    if snapshot.policy is None:
        return "no policy"
    if snapshot.policy.not_known_here:
        return "the target is not known here: ROTATION_TARGETS is not set"
    try:
        with closing(context.issuer(snapshot.policy)) as issuer:
            if not isinstance(issuer, SeesUse):
                return f"{issuer.spec.name} cannot show use"
            active = [handle for handle in issuer.handles() if snapshot.handle in {handle, ""}]
            return sum(len(issuer.observe(handle, None).sessions) for handle in active)
    except RotationError as error:
        return error.reason
