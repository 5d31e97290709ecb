"""How long something outside may hold us: the time of one exchange, and of the delivery around it.

A peer that accepts a login and then says nothing, or one byte now and then, is never waited for
without end.  Here is what keeps that promise for all plugins.

Rules of this module:
  1. The time left of a delivery is known to the thread that works on it, and handed on to the
     threads it starts.  Outside of a delivery there is no end but that of the exchange.
  2. Work that knows no deadline of its own (a look-up of a name, a library's login) runs on a
     thread that is left behind when its time is over.  It is asked to tidy up after itself then.
  3. Monotonic time only; the clock that decides when something is due plays no part.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from time import monotonic
from typing import Final, Generic, TypeVar

Result = TypeVar("Result")

_ends: Final[ContextVar[float]] = ContextVar("ends", default=math.inf)


class DeadlineError(Exception):
    """The time is over.  The caller says what that means for its work."""


@contextmanager
def delivery(seconds: float) -> Iterator[None]:
    """Let everything that is waited for inside end within ``seconds``."""
    token = _ends.set(min(_ends.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _ends.reset(token)


def left(seconds: float) -> float:
    """Return ``seconds``, or what is left of the delivery where that is less; never below 0."""
    return max(0.0, min(seconds, _ends.get() - monotonic()))


def run(
    work: Callable[[], Result],
    seconds: float,
    tidy: Callable[[Result], None] = lambda _result: None,
) -> Result:
    """Do ``work`` on a thread of its own, and wait for it so long.

    Args:
        work: What knows no deadline.
        seconds: How long to wait; less where the delivery ends before.
        tidy: Gives up a result that nobody waits for any more.

    Raises:
        DeadlineError: It is not done; the thread is left behind.
    """
    patience = left(seconds)
    if patience <= 0:
        raise DeadlineError("no time is left")
    errand = _Errand(work, tidy)
    known = copy_context()
    threading.Thread(
        target=known.run, args=(errand.run,), name="rotation-errand", daemon=True
    ).start()
    return errand.result(patience)


class _Errand(Generic[Result]):
    """One piece of work, and who is to have its result."""

    def __init__(self, work: Callable[[], Result], tidy: Callable[[Result], None]) -> None:
        self._work, self._tidy = work, tidy
        self._is_done = threading.Event()
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._results: list[Result] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Work, and keep what comes of it."""
        try:
            result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
            self._is_done.set()
            return
        with self._lock:
            self._results.append(result)
            is_abandoned = self._is_abandoned
        self._is_done.set()
        if is_abandoned:
            self._tidy(result)

    def result(self, seconds: float) -> Result:
        """Return what came of it within ``seconds``; what comes later is given up."""
        self._is_done.wait(seconds)
        with self._lock:
            self._is_abandoned = not self._results
        if self._error is not None:
            raise self._error
        if not self._results:
            raise DeadlineError(f"no answer within {seconds:.3g} s")
        return self._results[0]
