"""A small pool for any driver, for one credential.

Rules of this module:
  1. One block is one transaction: it is committed at the end, rolled back after an error.  Drivers
     without ``commit`` and ``rollback`` are left alone.
  2. A connection that could not be rolled back, or is closed, is never lent again.
  3. A closed pool lends no more; what is lent out goes on, and is closed when it comes back.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Generic, Protocol, TypeVar

from rotation.model.errors import TemporaryError


class Closeable(Protocol):
    """A connection, as far as a pool knows one."""

    def close(self) -> Any:  # noqa: ANN401 - nobody looks
        """End the session."""


Connection = TypeVar("Connection", bound=Closeable)


class PoolClosedError(TemporaryError):
    """The pool lends no more; callers take another one."""

    reason = "pool-closed"


class PoolTimeoutError(TemporaryError):
    """Every connection is lent out, and none came back in time."""

    reason = "pool-timeout"


def _is_open(connection: Closeable) -> bool:
    return not getattr(connection, "closed", False)


class ConnectionPool(Generic[Connection]):
    """Lends connections; opens the first one at once, so that a dead credential shows at once.

    Args:
        connect: Opens one connection; what it raises is raised to whoever wanted to borrow.
        max_size: How many connections there are at most.
        timeout: Seconds to wait for one to come back.
        is_usable: Whether a connection that lay idle can be lent; asks the driver's ``closed``
            unless set otherwise.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        max_size: int = 10,
        timeout: float = 30.0,
        is_usable: Callable[[Connection], bool] = _is_open,
    ) -> None:
        self._connect = connect
        self._timeout: Final = timeout
        self._max_size: Final = max_size
        self._is_usable = is_usable
        self._changed = threading.Condition()
        self._idle: list[Connection] = [connect()]
        self._open = 1
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection for a block.

        Raises:
            PoolClosedError: The pool lends no more.
            PoolTimeoutError: None came back in time.
        """
        connection = self._take()
        is_well = False
        try:
            yield connection
            _call(connection, "commit")
            is_well = True
        except BaseException:
            with suppress(Exception):
                _call(connection, "rollback")
                is_well = True
            raise
        finally:
            self._give_back(connection, is_well=is_well)

    def close(self) -> None:
        """Lend no more, and close what lies idle.  May be called twice."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for connection in idle:
            self._discard(connection)

    def _take(self) -> Connection:
        while True:
            connection = self._reserve()
            if connection is None:
                return self._connected()
            if self._is_usable(connection):
                return connection
            self._discard(connection)

    def _reserve(self) -> Connection | None:
        """Return an idle connection, or None for the right to open one."""
        until = time.monotonic() + self._timeout
        with self._changed:
            while True:
                if self._closed:
                    raise PoolClosedError("the pool is closed")
                if self._idle:
                    return self._idle.pop()
                if self._open < self._max_size:
                    self._open += 1
                    return None
                if not self._changed.wait(until - time.monotonic()):
                    raise PoolTimeoutError(
                        f"all {self._max_size} connections are lent out",
                        remedy="give them back sooner, or raise max_size",
                    )

    def _connected(self) -> Connection:
        try:
            return self._connect()
        except BaseException:
            self._forget()
            raise

    def _give_back(self, connection: Connection, *, is_well: bool) -> None:
        with self._changed:
            is_kept = is_well and not self._closed
            if is_kept:
                self._idle.append(connection)
                self._changed.notify()
        if not is_kept:
            self._discard(connection)

    def _discard(self, connection: Connection) -> None:
        self._forget()
        with suppress(Exception):  # whatever a driver says of a session that is gone
            connection.close()

    def _forget(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()


def _call(connection: object, name: str) -> None:
    method = getattr(connection, name, None)
    if method is not None:
        method()
