"""Change the same on every server: fenced, read again, saved; end sessions.

Rules of this module:
  1. Each server has its own fence, and one that does not answer keeps no other from being changed.
     Nor does one that refuses keep another from losing a key.
  2. A change is read and decided again until nothing is left to do; only then is it saved.
  3. A session that began after a key was taken away never used it.
"""

from collections.abc import Callable
from typing import Final

from rotation.issuers._keys import book
from rotation.issuers._keys.book import Book, Decision
from rotation.issuers._keys.target import KeySettings, Server, Target
from rotation.kit.credentials.rotator import Login, RotatorLogin, read_login
from rotation.kit.net.node import Node
from rotation.model.errors import (
    PermanentError,
    RotationError,
    StaleTokenError,
    TemporaryError,
)
from rotation.ports.issuer import IssuerEnvironment

#: How often a change is decided, or lost to another rotator, before it is left for later.
_TRIES: Final = 12


class Nodes:
    """The rotator's way to every server."""

    def __init__(
        self, target: Target, settings: KeySettings, environment: IssuerEnvironment
    ) -> None:
        self._target = target
        self._settings = settings
        self._environment = environment
        self._login = RotatorLogin(settings.admin, self._read)

    def log_in(self, node: Node) -> Server:
        """Log in to a server as the rotator; the caller closes it."""
        return self._login.use(lambda login: self._target.open(node, login))

    def change(self, token: int, decide: Decision) -> None:
        """Change the user on every server."""

        def change(server: Server) -> None:
            self._change(server, token, decide)
            server.save()

        self._on_all(change, (TemporaryError,))

    def take_away(self, handle: str, token: int, decide: Decision, *, end: bool) -> int:
        """Take a key from the user on every server; return how many sessions were ended."""
        ended = []

        def take(server: Server) -> None:
            self._change(server, token, decide)
            with self.log_in(server.node) as later:
                newest = later.session()
            known = self._change(server, token, book.bound(handle, newest))
            if end:
                ended.append(server.end_sessions(known.keys[handle].sessions))
            server.save()

        self._on_all(take, (TemporaryError, PermanentError))
        return sum(ended)

    def _on_all(
        self, act: Callable[[Server], None], passed: tuple[type[RotationError], ...]
    ) -> None:
        failures: list[RotationError] = []
        for node in self._settings.servers:
            try:
                with self.log_in(node) as server:
                    act(server)
            except passed as error:
                failures.append(error)
        if failures:
            # What needs a person first: the others pass by themselves.
            raise min(failures, key=lambda error: isinstance(error, TemporaryError))

    def _change(self, server: Server, token: int, decide: Decision) -> Book:
        for _ in range(_TRIES):
            view = server.look()
            if view.newest > token:
                message = f"{server.node} has seen a newer token"
                raise StaleTokenError(message, newest=view.newest)
            known = view.book(token)
            wanted = decide(known)
            if wanted == known and known.is_fenced:
                return known
            server.write(wanted, token)
        raise TemporaryError(
            f"{self._settings.user} on {server.node} is being changed by somebody else"
        )

    def _read(self) -> Login:
        name = self._settings.admin_version
        login = read_login(name, self._environment.read_payload(name))
        if login.user == self._settings.user:
            raise PermanentError(
                f"the rotator logs in as {login.user}, the very user that it rotates",
                remedy="give the rotator a user of its own",
                reason="user-unfit",
            )
        return login
