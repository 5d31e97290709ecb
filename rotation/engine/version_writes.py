"""Enables, disables and destroys versions so that a worker which has lost its hold cannot.

Rules of this module:
  1. A version is changed under its own ETag, and only while the hold is known to be ours.
  2. The version's ETag is read first and the hold is checked after that: whoever takes over
     changes the token before the version, so one of the two shows it.
"""

from collections.abc import Callable

from rotation.engine.hold import PAUSE, TRIES, Hold
from rotation.engine.parts import Tools
from rotation.model.errors import EtagMismatchError, NotFoundError, TemporaryError
from rotation.model.names import SecretName
from rotation.model.secret import VersionState


class VersionWrites:
    """The changes of versions under one hold."""

    def __init__(self, tools: Tools, hold: Hold) -> None:
        self._store = tools.store
        self._pause = tools.pause
        self._hold = hold

    def enable(self, number: int) -> None:
        """Enable a version; even an enabled one, so that its ETag moves."""
        self._change(number, self._store.enable, ())

    def disable(self, number: int) -> None:
        """Disable a version."""
        self._change(number, self._store.disable, (VersionState.DISABLED,), certain=True)

    def destroy(self, number: int) -> None:
        """Destroy a version."""
        self._change(number, self._store.destroy, ())

    def _change(
        self,
        number: int,
        effect: Callable[[SecretName, int, str], None],
        enough: tuple[VersionState, ...],
        *,
        certain: bool = False,
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
            self._prove_hold(certain=certain)
            try:
                effect(name, number, found.etag)
            except EtagMismatchError:
                self._pause(PAUSE * 2**attempt)
            else:
                return
        raise TemporaryError(f"version {number} is being written to all the time, or reads are old")

    def _prove_hold(self, *, certain: bool) -> None:
        """Make sure the hold is ours; where a mistake would lock consumers out, by a write.

        Reads of the secret may be old.  A write under its ETag cannot be fooled.
        """
        if certain:
            self._hold.rewrite(lambda state: state)
        else:
            self._hold.reload()
