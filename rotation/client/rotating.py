"""A pool that moves to the next credential while the old one still works.

Connections of the next credential are lent as soon as it has proved itself; those of the previous
one are closed as they come back.  A thread of its own reads the source now and then, so that an
idle application leaves the old slot, too.

Rules of this module:
  1. A credential takes over only after a login with it; until then the one in use stays.
  2. When no connection can be opened the source is read again at once, and the caller gets a
     connection of what is in force then; if that is the same, the previous credential is tried.
  3. However many callers fail, reads and logins are bounded: one at a time, with growing pauses.
  4. Nothing logged or reported holds a secret value: versions and few words.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from rotation.client.credentials import Credentials
from rotation.client.failures import Failures
from rotation.client.pool import ConnectionPool, PoolClosedError, PoolTimeoutError
from rotation.client.sources import Source
from rotation.model.consumer import Held, Trouble, Usage
from rotation.model.errors import RotationError

Connection = TypeVar("Connection")
Lent_co = TypeVar("Lent_co", covariant=True)

_log: Final = logging.getLogger("rotation.client")
#: What servers say when it is the login they refuse; for drivers that are not known here.
_REFUSALS: Final = (
    "authentication failed", "access denied", "not permitted to log in", "invalid password",
    "login failed", "wrongpass", "invalid username-password", "invalid username/password",
)  # fmt: skip


class Pool(Protocol[Lent_co]):
    """What lends connections of one credential; `ConnectionPool` and psycopg_pool's do."""

    def connection(self) -> AbstractContextManager[Lent_co]:
        """Lend a connection for a block."""

    def close(self) -> Any:  # noqa: ANN401 - nobody looks
        """Lend no more; close what is idle now, and what is lent out when it comes back."""


def trouble_by_words(error: BaseException) -> Trouble | None:
    """Tell a refused login from silence by the words of the error; a busy pool is neither."""
    if isinstance(error, PoolTimeoutError | PoolClosedError):
        return None
    text = str(error).lower()
    return Trouble.REFUSED if any(words in text for words in _REFUSALS) else Trouble.UNREACHABLE


@dataclass
class _Line(Generic[Connection]):
    """One credential and its pool."""

    credentials: Credentials
    pool: Pool[Connection]
    since: datetime
    #: Callers that are about to borrow, and those that have borrowed.
    entering: int = 0
    lent: int = 0
    is_retired: bool = False


class Rotating(Generic[Connection]):
    """Lends connections of the credential in force.  Safe to use from several threads.

    Args:
        source: Where the credential is read.
        open_pool: Makes the pool of one credential.  It must log in before it returns, and raise
            what the driver raises when that fails.
        trouble_of: Says what an error of ``open_pool`` and its pools means; None: nothing about
            the credential.
        read_every: Seconds between two reads.
        monotonic: Seconds that only grow.
    """

    def __init__(
        self,
        source: Source,
        open_pool: Callable[[Credentials], Pool[Connection]],
        *,
        trouble_of: Callable[[BaseException], Trouble | None] = trouble_by_words,
        read_every: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._open_pool = open_pool
        self._trouble_of = trouble_of
        self._read_every = read_every
        self._lock = threading.Lock()
        #: Held while the source is read and a login is tried.
        self._reading = threading.Lock()
        self._stop = threading.Event()
        self._follower: threading.Thread | None = None
        self._line: _Line[Connection] | None = None
        #: Lines that lend no more, as long as somebody has borrowed from them.
        self._retired: list[_Line[Connection]] = []
        self._previous: Credentials | None = None
        self._failures = Failures(monotonic)

    @classmethod
    def over(
        cls,
        source: Source,
        connect: Callable[[Credentials], Any],
        *,
        max_size: int = 10,
        **options: Any,  # noqa: ANN401 - as the constructor takes them
    ) -> Self:
        """Return one for any driver, given how it connects."""

        def open_pool(credentials: Credentials) -> ConnectionPool[Any]:
            return ConnectionPool(lambda: connect(credentials), max_size=max_size)

        return cls(source, open_pool, **options)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def open(self) -> None:
        """Read, log in, and begin to follow.  Call it after a fork, not before.

        Raises:
            RotationError: The credential cannot be read.
            Exception: What the driver raises, when the login fails.
        """
        with self._reading:
            if self._line is None:
                self._replace(self._opened(self._source.read()))
            if self._follower is None:
                self._stop.clear()
                self._follower = threading.Thread(
                    target=self._follow, name="rotation-client", daemon=True
                )
                self._follower.start()

    def close(self) -> None:
        """Stop following and close the pools; what is lent out is closed when it comes back."""
        self._stop.set()
        if self._follower is not None:
            self._follower.join()
            self._follower = None
        with self._reading:
            self._replace(None)
            self._previous = None
            self._failures.are_over()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection of the credential in force, for a block.

        Raises:
            Exception: What the driver raises, when none can be opened.
        """
        with ExitStack() as stack:
            yield self._borrow(stack)

    def refresh(self) -> bool:
        """Read the source now; return whether another credential is in force since."""
        with self._reading:
            return self._read_and_move()

    @property
    def secret(self) -> str:
        """Full name of the secret; empty while it is not known."""
        with self._lock:
            return self._line.credentials.secret if self._line else ""

    def usage(self) -> Usage | None:
        """Say which credential is in use; None before `open` and after `close`."""
        with self._lock:
            if self._line is None:
                return None
            return Usage(self._line.credentials.held, self._line.since, self._failures.failure)

    def draining(self) -> tuple[Held, ...]:
        """Name the credentials that borrowed connections still use although another took over."""
        with self._lock:
            return tuple(line.credentials.held for line in self._retired)

    def __repr__(self) -> str:
        with self._lock:
            return f"<rotating {self._line.credentials if self._line else 'pool, closed'}>"

    # Lending

    def _borrow(self, stack: ExitStack) -> Connection:
        line = self._enter()
        try:
            return self._lend(line, stack)
        except Exception as error:
            if not self._recover(line, error):
                raise
        # Another credential is in force now.
        return self._lend(self._enter(), stack)

    def _enter(self) -> _Line[Connection]:
        with self._lock:
            if self._line is None:
                raise RuntimeError("the rotating pool is not open")
            self._line.entering += 1
            return self._line

    def _lend(self, line: _Line[Connection], stack: ExitStack) -> Connection:
        with self._lock:
            line.lent += 1
        lending = ExitStack()
        lending.callback(self._returned, line)
        try:
            connection = lending.enter_context(line.pool.connection())
        except BaseException:
            lending.close()
            raise
        finally:
            self._entered(line)
        stack.push(lending)
        return connection

    def _entered(self, line: _Line[Connection]) -> None:
        with self._lock:
            line.entering -= 1
            is_over = line.is_retired and not line.entering
        if is_over:
            line.pool.close()

    def _returned(self, line: _Line[Connection]) -> None:
        with self._lock:
            line.lent -= 1
            if not line.lent and line in self._retired:
                self._retired.remove(line)

    def _recover(self, line: _Line[Connection], error: Exception) -> bool:
        """Return whether another credential is in force, now that one could not be used."""
        with self._reading:
            if self._line is not line:
                return self._line is not None
            trouble = self._trouble_of(error)
            if trouble is None or not self._failures.may_try():
                return False
            if self._read_and_move():
                return True
            # A failure that is there by now was noted while moving, and weighs more.
            if self._failures.failure is None:
                self._failed(line.credentials, trouble)
            return trouble is Trouble.REFUSED and self._fall_back()

    # Following

    def _follow(self) -> None:
        while not self._stop.wait(self._failures.pause(self._read_every)):
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 - a driver's; the next read tries again
                _log.warning("the credential cannot be followed now: %s", type(error).__name__)

    def _read_and_move(self) -> bool:
        try:
            read = self._source.read()
        except RotationError as error:
            self._failures.wait_longer()
            _log.warning("the credential cannot be read: %s", error)
            return False
        if self._is_in_use(read):
            self._failures.are_over()
            return False
        return self._move_to(read)

    def _is_in_use(self, read: Credentials) -> bool:
        """Whether there is nothing to move to, nor to try again."""
        if self._line is None or read != self._line.credentials:
            return False
        return not self._failures.concern(read.held)

    def _fall_back(self) -> bool:
        if self._previous is None:
            return False
        failure = self._failures.failure
        has_moved = self._move_to(self._previous)
        # What is to be known is why the credential in force is not the one in use.
        self._failures.failure = failure
        return has_moved

    def _move_to(self, credentials: Credentials) -> bool:
        """Log in with other credentials; they take over when that works."""
        try:
            line = self._opened(credentials)
        except Exception as error:  # noqa: BLE001 - any driver's
            self._failed(credentials, self._trouble_of(error) or Trouble.UNREACHABLE)
            return False
        self._replace(line)
        self._failures.are_over()
        _log.info("connections are opened with %s", credentials)
        return True

    def _opened(self, credentials: Credentials) -> _Line[Connection]:
        line, since = self._line, datetime.now(UTC)
        if line is not None and line.credentials == credentials:
            since = line.since
        return _Line(credentials, self._open_pool(credentials), since)

    def _replace(self, line: _Line[Connection] | None) -> None:
        with self._lock:
            before, self._line = self._line, line
            if before is None:
                return
            if line is not None and line.credentials != before.credentials:
                self._previous = before.credentials
            before.is_retired = True
            if before.lent:
                self._retired.append(before)
            is_over = not before.entering
        if is_over:
            before.pool.close()

    def _failed(self, credentials: Credentials, trouble: Trouble) -> None:
        self._failures.note(credentials.held, trouble)
        _log.warning("%s cannot be used: %s", credentials, trouble.value)
