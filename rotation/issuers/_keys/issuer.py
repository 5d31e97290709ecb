"""The issuer of several keys of one user: the new one is added, then the old one is taken away.

Rules of this module:
  1. A handle follows from the rotation; a password that somebody else set has one by its hash.
  2. A credential works on every server before it is reported to be verified.
  3. Only what changes or looks needs the target, and its library.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from functools import cached_property

from rotation.issuers._keys import book
from rotation.issuers._keys import handle as names
from rotation.issuers._keys.nodes import Nodes
from rotation.issuers._keys.payload import compose, key_of, login_of
from rotation.issuers._keys.target import KeySettings, Target
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Minted, Verification
from rotation.ports.issuer import IssuerEnvironment, MintRequest


class UserKeys(ABC):
    """See `rotation.ports.issuer` for the contract.

    It is an `Issuer` that `Composes`, `Suspends`, `ReadsSecrets` and is `Located`.
    """

    def __init__(self, settings: KeySettings, environment: IssuerEnvironment) -> None:
        self._settings = settings
        self._environment = environment

    @abstractmethod
    def open_target(self) -> Target:
        """Return the system; nothing is asked of it yet.

        Raises:
            MissingLibraryError: Its library is not installed.
        """

    @cached_property
    def _target(self) -> Target:
        return self.open_target()

    @cached_property
    def _nodes(self) -> Nodes:
        return Nodes(self._target, self._settings, self._environment)

    def connect(self) -> None:
        """Prove that the first server lets the rotator in, and that it is of a kind we know."""
        with self._nodes.log_in(self._settings.servers[0]) as server:
            server.refuse_other_kinds()

    def close(self) -> None:
        """Forget the rotator's login; no connection is kept."""
        vars(self).pop("_nodes", None)

    def location(self) -> str:
        """Name the first server and the user."""
        return f"{self._settings.servers[0]}/{self._settings.user}"

    def reads(self) -> tuple[str, ...]:
        """Return the version with the rotator's login."""
        return (self._settings.admin_version,)

    def identify(self, payload: Payload) -> str:
        """Return the id of a password that rotation made, or the beginning of another's hash."""
        return key_of(payload, self._settings.user).handle

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:
        """Return the id of the password that this rotation makes."""
        return names.next_handle(self.identify(current) if current else None, rotation_id)

    def propose(self, handle: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a candidate with a new random password."""
        return compose(self._settings, handle, rotation_id, current)

    def mint(self, request: MintRequest) -> Minted:
        """Let the user log in with the candidate, too."""
        user, payload = self._settings.user, request.proposed
        key = replace(key_of(payload, user), handle=request.handle, version=request.version)
        current = key_of(request.current, user) if request.current else None
        self._nodes.change(request.token, book.mint(key, current))
        return Minted(request.handle, payload)

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:  # noqa: ARG002 - each server was changed by itself
        """Log in to every server as a consumer."""
        login, nodes = login_of(payload, self._settings.user), self._settings.servers
        passed = [self._target.prove(node, login) for node in nodes]
        return Verification(nodes=tuple(map(str, nodes)), identity=login.user, probes=min(passed))

    def suspend(self, handle: str, token: int) -> None:
        """Refuse logins with the password; its hash is remembered."""
        decide = book.suspend(handle, self._target.to_note(handle))
        self._nodes.take_away(handle, token, decide, end=False)

    def restore(self, handle: str, token: int) -> None:
        """Let the same password log in again."""
        self._nodes.change(token, book.restore(handle))

    def revoke(self, handle: str, token: int) -> int:
        """Refuse logins with the password for ever, and end the sessions that may have used it."""
        decide = book.revoke(handle, self._target.to_note(handle))
        return self._nodes.take_away(handle, token, decide, end=True)

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:
        """Look at every server, and log in as a consumer where there is a password in force."""
        from rotation.issuers._keys.preflight import check_login, examine  # noqa: PLC0415 - not for a tick

        key = key_of(current, self._settings.user) if current else None
        found = examine(self._settings, self._target, self._nodes, key, token)
        return (*found, check_login(self.verify, current))
