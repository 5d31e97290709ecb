"""Enables, disables and destroys versions so that a worker which has lost its lease cannot.

Rules of this module:
  1. A version is changed under its own ETag, and only while the hold is known to be ours.
  2. The version's ETag is read first and the hold is checked after that: whoever takes over
     changes the token before the version, so one of the two shows it.
"""

from collections.abc import Callable
from functools import partial

from rotation.engine.hold import PAUSE, TRIES, Hold
from rotation.engine.parts import Tools
from rotation.model.errors import EtagMismatchError, NotFoundError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.secret import VersionState, VersionStatus


class VersionWrites:
    """The changes of versions under one hold."""

    def __init__(self, tools: Tools, hold: Hold) -> None:
        self._store = tools.store
        self._pause = tools.pause
        self._hold = hold

    def enable(self, number: int) -> None:
        """Enable a version; even an enabled one, so that its ETag moves."""
        self._change(number, self._store.enable, self._hold.reload)

    def disable(self, number: int) -> None:
        """Disable a version.

        Reads of the secret may be old, and a mistake would lock consumers out: so the hold is
        proved by a write under its ETag, which cannot be fooled.
        """
        proof = partial(self._hold.rewrite, lambda state: state)
        self._change(number, self._store.disable, proof, VersionState.DISABLED)

    def disable_revoked(self, number: int) -> None:
        """Disable a version whose credential is recorded as revoked: it can lock nobody out."""
        self._change(number, self._store.disable, lambda: None, VersionState.DISABLED)

    def destroy(self, number: int, check: Callable[[VersionStatus], None]) -> None:
        """Destroy a version, unless ``check`` raises when it sees how it stands."""
        self._change(number, self._store.destroy, self._hold.reload, check=check)

    def _change(
        self,
        number: int,
        effect: Callable[[SecretName, int, str], None],
        prove_hold: Callable[[], None],
        *enough: VersionState,
        check: Callable[[VersionStatus], None] = lambda _: None,
    ) -> None:
        name = self._hold.secret.name
        for attempt in range(TRIES):
            try:
                found = self._store.version(name, number)
            except NotFoundError:
                # A version never ceases to be there: this read is older than the version.
                self._pause(PAUSE * 2**attempt)
                continue
            if found.state in (*enough, VersionState.DESTROYED):
                return
            check(found)
            prove_hold()
            try:
                effect(name, number, found.etag)
            except EtagMismatchError:
                self._pause(PAUSE * 2**attempt)
            else:
                return
        raise TemporaryError(f"version {number} is being written to all the time, or reads are old")
