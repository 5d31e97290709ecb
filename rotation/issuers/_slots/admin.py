"""The rotator's connections: log in, keep one of them, open it again when it is broken.

Rules of this module:
  1. One connection to the first node is kept and used by one thread at a time.
  2. A kept connection may have died unnoticed: the first step of any work runs once more on a new
     one.  So a first step must do nothing that may not be done twice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Final, Generic, TypeVar

from rotation.issuers._slots.target import Connection, Connects, SlotSettings
from rotation.kit.credentials.rotator import Login, RotatorLogin, read_login
from rotation.kit.net.node import Node
from rotation.model.errors import RotationError
from rotation.model.password import Password
from rotation.ports.issuer import IssuerEnvironment

#: In place of a secret: the function's own identity logs in, with an access token.
IAM: Final = "iam"

Answer = TypeVar("Answer")


class Admin(Generic[Connection]):
    """The rotator's connections."""

    def __init__(
        self, target: Connects[Connection], settings: SlotSettings, environment: IssuerEnvironment
    ) -> None:
        self._target = target
        self._settings = settings
        self._environment = environment
        # An access token lives for an hour; it is cheap to ask for, and never kept.
        self._login = RotatorLogin(settings.admin, self._read, keeps=settings.admin != IAM)
        self._kept: Connection | None = None
        self._lock = RLock()

    def connect(self) -> None:
        """Open the kept connection, or prove that it still answers."""
        with self.primary(self._target.ping):
            pass

    def reads(self) -> tuple[str, ...]:
        """Return the version with the rotator's login, where one is read."""
        return () if self._settings.admin == IAM else (self._settings.admin_version,)

    @contextmanager
    def primary(
        self, first_step: Callable[[Connection], Answer]
    ) -> Iterator[tuple[Connection, Answer]]:
        """Lend the kept connection, after ``first_step`` has run on it, to one thread.

        What the caller leaves open on it is given up.
        """
        with self._lock:
            connection, answer = self._begin(first_step)
            try:
                yield connection, answer
            finally:
                self._tidy(connection)

    def on(self, node: Node) -> Connection:
        """Open a connection of its own to any node; the caller closes it."""
        return self._login.use(lambda login: self._target.open(node, login))

    def close(self) -> None:
        """Close the kept connection."""
        with self._lock:
            if self._kept is not None:
                self._kept.close()
                self._kept = None

    def _begin(self, first_step: Callable[[Connection], Answer]) -> tuple[Connection, Answer]:
        was_kept = self._kept is not None
        connection = self._kept = self._kept or self.on(self._target.nodes[0])
        try:
            with self._target.translating("use the rotator's connection"):
                return connection, first_step(connection)
        except RotationError as error:
            failure = error
        if was_kept and self._target.is_closed(connection):
            self.close()
            return self._begin(first_step)
        self._tidy(connection)
        raise failure

    def _tidy(self, connection: Connection) -> None:
        try:
            with self._target.translating("tidy up"):
                self._target.reset(connection)
        except RotationError:
            self.close()

    def _read(self) -> Login:
        if self._settings.admin == IAM:
            return Login(self._settings.admin_user, Password(self._environment.access_token()))
        name = self._settings.admin_version
        return read_login(name, self._environment.read_payload(name))
