"""Connections to PostgreSQL on which nothing is waited for without end.

libpq knows a time-out of the connection alone, and none while it computes: it hashes the password
as often as the server says (SCRAM iterations, up to 2^31 of them, hours of one processor), in one
call that nothing can end.

Rules of this module:
  1. A login runs on a thread of its own and is given up in time, whatever it is at.
  2. What was given up may go on computing: as long as it does, nobody here logs in to that address
     again.  So a hostile server costs one processor's time at most, and holds no worker.
  3. An exchange on an open connection ends in time, also when a byte comes now and then.  The
     connection is closed then: what becomes of the statement is unknown.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

from rotation.kit import deadline
from rotation.kit.deadline import DeadlineError

Answer = TypeVar("Answer")
Row = tuple[Any, ...]

#: Iterations that a server is believed: those of RFC 7677, and what costs a second at most.
FEWEST_ITERATIONS: Final = 4096
MOST_ITERATIONS: Final = 1_000_000
#: Seconds on top of a time-out that the server or libpq keeps: theirs says more than ours.
_GRACE: Final = 2.0

_lock: Final = threading.Lock()
#: Logins that were given up and are still at work, by address.
_left_behind: Final[defaultdict[str, set["_Login"]]] = defaultdict(set)


class NoAnswerError(psycopg.OperationalError):
    """The time is over; in words of ours, and without the text of a library."""


class Bounded(psycopg.Connection[Row]):
    """A connection whose every exchange has a deadline."""

    #: Seconds that one statement may take.
    patience: float = 15.0

    def wait(
        self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None
    ) -> Answer:
        """Wait for the server, not longer than its statements may take."""
        pending = len(self._pipeline.result_queue) if self._pipeline else 1
        most = self.patience * max(1, pending) + _GRACE
        seconds = deadline.left(most if timeout is None else min(timeout, most))
        try:
            return super().wait(_until(gen, monotonic() + seconds), interval)
        except NoAnswerError:
            self.pgconn.finish()
            raise


def connect(address: str, seconds: float, patience: float, login: Callable[[], Bounded]) -> Bounded:
    """Log in by ``login``, within ``seconds``; the caller closes the connection.

    Args:
        address: Where, for people; what is given up is remembered by it.
        seconds: How long libpq itself takes at most.
        patience: Seconds that one statement may take from then on.
        login: Connects.  Its frames hold the password, so whatever it raises is for the caller to
            translate, and to leave behind.

    Raises:
        psycopg.Error: As met, or `NoAnswerError`.
    """
    attempt = _Login(login)
    with _lock:
        if _left_behind[address]:
            raise NoAnswerError("the last login is still at work")
    try:
        connection = deadline.run(attempt.run, seconds + _GRACE, Bounded.close)
    except DeadlineError:
        with _lock:
            if attempt.is_at_work:
                _left_behind[address].add(attempt)
    else:
        connection.patience = patience
        return connection
    raise NoAnswerError("no answer in time")


class _Login:
    """One attempt, and whether it is still at work."""

    def __init__(self, login: Callable[[], Bounded]) -> None:
        self._login = login
        self.is_at_work = False

    def run(self) -> Bounded:
        self.is_at_work = True
        try:
            return self._login()
        finally:
            with _lock:
                self.is_at_work = False
                for attempts in _left_behind.values():
                    attempts.discard(self)


def _until(gen: PQGen[Answer], ends: float) -> PQGen[Answer]:
    """Go on with an exchange until its end, or until the time is over."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if monotonic() >= ends:
                raise NoAnswerError("no answer in time")
            wanted = gen.send(ready)
    except StopIteration as finished:
        answer: Answer = finished.value
        return answer
