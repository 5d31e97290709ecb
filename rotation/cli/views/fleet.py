"""Knows where every managed secret stands, with few reads however many there are.

1. A list answers for a thousand secrets with one read.  Reads are a quota that the function needs,
   too: watching a fleet of any size takes one in `EVERY_LIST` seconds, a twentieth of it.
2. A fleet that fits into one list is listed whole by every look.  Of a larger one, half of the
   lists are for what moves, which Secret Manager itself picks by a label; the other half for the
   whole, the seldomer the larger it is.
3. What moves no longer is read by its name; where that is many, the whole is listed.
4. What has not changed is not decoded again: the ETag shows it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from rotation.cli.views.context import Context
from rotation.engine import codec
from rotation.engine.codec import is_managed
from rotation.engine.snapshot import Snapshot
from rotation.model.errors import BadFilterError
from rotation.model.secret import Secret

#: Seconds between two lists, on average.
EVERY_LIST: Final = 2.0
#: Secrets that one list answers for.
PAGE: Final = 1000
#: So many are read by name.
_FEW: Final = 5
#: Secrets with a rotation in flight, in Secret Manager's own language.
_MOVING: Final = f"labels.{codec.PHASE}:*"


class Fleet:
    """The secrets of a project that are managed and match a filter."""

    def __init__(
        self, context: Context, matching: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        _ = context.project  # a missing project is reported before anything is asked of Google
        self._context = context
        self._matching = matching
        self._now = now
        self._known: dict[str, Snapshot] = {}
        #: Whether Secret Manager lets us ask for what moves.
        self._picks = True
        #: When the whole fleet is listed next, of those that do not fit into one list.
        self._whole_at = 0.0
        #: Seconds until the next look.
        self.pause = 0.0

    def look(self) -> Sequence[Snapshot]:
        """Return where they stand now, as far as was worth a look.

        Raises:
            TemporaryError: Nothing could be read.
        """
        if not self._picks or self._now() >= self._whole_at or not self._follow():
            self._list_whole()
        return list(self._known.values())

    def _list_whole(self) -> None:
        listed = self._listed(self._matching)
        self._known = {
            str(secret.name): self._snapshot(secret) for secret in listed if is_managed(secret)
        }
        lists = _lists(len(listed))
        if lists == 1:
            self._whole_at, self.pause = 0.0, 0.0
        elif self._picks:
            self._whole_at, self.pause = self._now() + 2 * EVERY_LIST * lists, 2 * EVERY_LIST
        else:
            self.pause = EVERY_LIST * lists

    def _follow(self) -> bool:
        """Look at what moves; False: the whole has to be listed instead."""
        matching = f"({self._matching}) AND {_MOVING}" if self._matching else _MOVING
        try:
            listed = self._listed(matching)
        except BadFilterError:
            self._picks = False
            return False
        self.pause = 2 * EVERY_LIST * _lists(len(listed))
        moving = {str(secret.name): secret for secret in listed if is_managed(secret)}
        rested = [
            name
            for name, snapshot in self._known.items()
            if _moves(snapshot) and name not in moving
        ]
        if len(rested) > _FEW:
            return False
        for name in rested:
            moving[name] = self._context.store.get(self._known[name].secret.name)
        self._known |= {name: self._snapshot(secret) for name, secret in moving.items()}
        return True

    def _listed(self, matching: str) -> Sequence[Secret]:
        return list(self._context.store.list(matching))

    def _snapshot(self, secret: Secret) -> Snapshot:
        known = self._known.get(str(secret.name))
        if known is None or known.secret.etag != secret.etag:
            return self._context.snapshot(secret)
        return replace(known, now=self._context.clock.now())


def _moves(snapshot: Snapshot) -> bool:
    return codec.PHASE in snapshot.secret.labels


def _lists(count: int) -> int:
    return count // PAGE + 1
