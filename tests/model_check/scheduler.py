"""Runs workers one effect at a time, in an order that a schedule decides.

Every worker runs in a thread of its own, and exactly one thread runs at any moment: a worker stops
before and after each effect and goes on when the conductor hands it the turn.

Rules of this module:
  1. A run is a pure function of its scenario and its schedule; nothing here reads a clock.
  2. A schedule names only where a run leaves the plain order: "at the 4th stop of w2: crash".
  3. Whatever is still stopped when a run ends is killed, so no thread outlives its run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock, Thread, local

#: What a stopped worker can be told.
GO, CRASH, UNAVAILABLE, LOST, LATE, STALE = "go", "crash", "unavailable", "lost", "late", "stale"


class CrashedError(BaseException):
    """The process died here; nothing may catch it."""


def held() -> Lock:
    """Return a lock that is taken: its release is a turn handed over."""
    lock = Lock()
    lock.acquire()
    return lock


@dataclass
class Stop:
    """Where a worker stands, and what may happen to it there."""

    effect: str
    choices: tuple[str, ...] = (GO,)


@dataclass
class Actor:
    """One worker on one delivery."""

    name: str
    body: Callable[[], None]
    stop: Stop = field(default_factory=lambda: Stop("start"))
    stops: int = 0
    answer: str = GO
    frozen: bool = False
    #: It need not stop any more; ``hurry`` is called where it would have.
    rushes: bool = False
    hurry: Callable[[], None] = lambda: None
    over: bool = False
    error: BaseException | None = None
    turn: Lock = field(default_factory=held)
    back: Lock = field(default_factory=held)


_HERE = local()


class Threads:
    """Threads that are used again, since starting one costs more than a whole tick."""

    def __init__(self) -> None:
        self._idle: list[_Bench] = []
        self._lock = Lock()

    def run(self, actor: Actor) -> None:
        """Seat an actor; it waits for its first turn."""
        with self._lock:
            bench = self._idle.pop() if self._idle else _Bench(self._give_back)
        bench.seat(actor)

    def _give_back(self, bench: _Bench) -> None:
        with self._lock:
            self._idle.append(bench)


class _Bench:
    def __init__(self, give_back: Callable[[_Bench], None]) -> None:
        self._give_back = give_back
        self._wanted = held()
        self._actor: Actor | None = None
        Thread(target=self._serve, daemon=True).start()

    def seat(self, actor: Actor) -> None:
        self._actor = actor
        self._wanted.release()

    def _serve(self) -> None:
        while True:
            self._wanted.acquire()
            if (actor := self._actor) is None:
                return
            _HERE.actor = actor
            actor.turn.acquire()
            try:
                if actor.answer == CRASH:
                    raise CrashedError
                actor.body()
            except BaseException as error:  # noqa: BLE001 - the conductor judges it
                actor.error = error
            actor.over = True
            self._give_back(self)
            actor.back.release()


THREADS = Threads()


def resume(actor: Actor, answer: str = GO) -> None:
    """Let an actor run to its next stop, or to its end."""
    actor.answer = answer
    actor.turn.release()
    actor.back.acquire()


def pause(stop: Stop) -> str:
    """Stop here until it is this worker's turn; return what happens to it."""
    actor: Actor | None = getattr(_HERE, "actor", None)
    if actor is None or actor.over:
        return GO  # the conductor itself looks
    if actor.rushes:
        actor.hurry()
        return GO
    actor.stop = stop
    actor.stops += 1
    actor.back.release()
    actor.turn.acquire()
    if actor.answer == CRASH:
        raise CrashedError
    return actor.answer


def current() -> str:
    """Name the worker that has the turn."""
    actor: Actor | None = getattr(_HERE, "actor", None)
    return actor.name if actor else "-"
