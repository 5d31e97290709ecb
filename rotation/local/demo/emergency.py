"""The emergency: the credential in force has leaked and must die now.

What fails here fails on purpose: sessions of the leaked credential are ended.  It is counted
apart from everything else.
"""

import contextlib
import threading
import time
from typing import Any, Final, Self

import psycopg

from rotation.local.demo.director import Director, by_method
from rotation.local.demo.narrator import DemoError
from rotation.local.demo.wire import REFUSALS
from rotation.local.demo.world import World

#: Within this many seconds a leaked credential has to be refused, on a busy machine too.
LIMIT: Final = 10.0
_TRY_EVERY: Final = 0.02


class Intruder:
    """Somebody who has the leaked credential: holds a session and logs in again and again.

    Args:
        world: Where.
        version: Whose credential.
        pooler: ``host:port`` of a pooler to come through; empty: straight to the server.
    """

    def __init__(self, world: World, version: int, pooler: str = "") -> None:
        self._world, self._version, self._pooler = world, version, pooler
        self._refused = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._try_logins, name="intruder", daemon=True)
        self._session = self._log_in()
        self.refused_at = 0.0
        self.logins = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(psycopg.Error):
            self._session.close()

    def await_refusal(self) -> float:
        """Return the monotonic time of the first refusal."""
        if not self._refused.wait(60):
            raise DemoError("the leaked credential still logs in after 60 s")
        return self.refused_at

    def is_out(self) -> bool:
        """Whether the session that was open has been ended."""
        try:
            self._session.execute("SELECT 1")
        except psycopg.Error:
            return True
        return False

    def still_refused(self) -> bool:
        """Whether one more login is refused."""
        try:
            self._log_in().close()
        except psycopg.OperationalError as error:
            return is_refusal(error)
        return False

    def _log_in(self) -> psycopg.Connection[tuple[Any, ...]]:
        return self._world.log_in(self._version, self._pooler)

    def _try_logins(self) -> None:
        while not self._stop.wait(_TRY_EVERY):
            try:
                self._log_in().close()
            except psycopg.OperationalError as error:
                if is_refusal(error):
                    self.refused_at = time.monotonic()
                    self._refused.set()
                    return
            else:
                self.logins += 1


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the server refused, rather than gave no answer."""
    return any(words in str(error) for words in REFUSALS)


def emergency(director: Director) -> None:
    """Ask for an emergency rotation and measure until the leaked credential is dead."""
    director.scene("emergency: the credential in force has leaked")
    world = director.world
    leaked, before = world.current(), director.consumers.tally()
    with Intruder(world, leaked) as intruder:
        director.wait("a login with the leaked credential", lambda: intruder.logins > 0)
        director.line(f"somebody else logs in with version {leaked} and keeps a session")
        director.count_from_here()
        asked = time.monotonic()
        director.publish(**world.request(mode="emergency", reason="leaked", requested_by="demo"))
        seconds = intruder.await_refusal() - asked
        director.await_phase("destroying")
        director.counted("emergency, to disabled")
        _claim_dead(director, intruder, leaked, seconds)
    _claim_recovered(director, leaked + 1)
    director.findings.emergency = director.consumers.tally() - before
    _clean_up(director, leaked)


def _claim_dead(director: Director, intruder: Intruder, leaked: int, seconds: float) -> None:
    director.findings.refused_after = seconds
    director.claim(
        f"the leaked credential is refused within {LIMIT:.0f} s of the request",
        f"{seconds:.2f} s after it was published",
        held=seconds <= LIMIT and intruder.still_refused(),
    )
    sessions = {slot["slot"]: slot["sessions"] for slot in director.world.slots()}
    slot = str(director.world.payloads[leaked]["username"])
    director.claim(
        "its sessions are ended",
        f"sessions: {by_method(sessions)}",
        held=intruder.is_out() and sessions[slot] == 0,
    )


def _claim_recovered(director: Director, version: int) -> None:
    """Await the consumers; those that follow a name need one retry, pinned ones a deployment."""
    director.await_moved(version, pinned=False)
    streaks = [
        report.report.longest_streak
        for report in director.consumers.reports()
        if report.binding != "pinned"
    ]
    director.claim(
        "every consumer of current and latest is back with its first retry",
        f"most failures in a row: {max(streaks)}",
        held=max(streaks) <= 1,
    )
    director.deploy(version)
    director.await_moved(version, pinned=True)


def _clean_up(director: Director, leaked: int) -> None:
    before = director.consumers.tally()
    director.settle("destroying", brief=True)
    states = director.world.versions()
    director.claim(
        "the leaked version is destroyed",
        ", ".join(f"{number} {state.lower()}" for number, state in states.items()),
        held=states[leaked] == "DESTROYED" and states[leaked + 1] == "ENABLED",
    )
    director.claim_unnoticed("the time after the emergency", before)
