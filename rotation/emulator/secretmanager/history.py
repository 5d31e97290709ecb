"""Earlier states of secrets, so that reads can be served stale.

It remembers; it never decides which read is stale.

1. Only the last states of each secret are kept.
2. "One write ago" counts the writes that changed what is being read: adding a version does not
   make a read of the labels older.
3. A secret that did not exist yet, or was deleted since, is remembered as such.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rotation.emulator.secretmanager.names import SecretKey
from rotation.emulator.secretmanager.records import SecretRecord

_KEPT: Final = 256

State = SecretRecord | None
#: What a reader looks at: two states with the same part look the same to it.
Part = Callable[[SecretRecord], object]


@dataclass(frozen=True)
class View:
    """How old the state is that a read gets: so many seconds, or so many writes."""

    seconds: float = 0.0
    writes: int = 0


FRESH: Final = View()


class History:
    """The states each secret had before the present one."""

    def __init__(self) -> None:
        self._past: dict[SecretKey, deque[tuple[datetime, State]]] = {}

    def keys(self) -> Iterable[SecretKey]:
        """List every secret that has ever changed."""
        return self._past.keys()

    def remember(self, key: SecretKey, state: State, until: datetime) -> None:
        """Keep the state that was in force until the moment."""
        self._past.setdefault(key, deque(maxlen=_KEPT)).append((until, state))

    def state(self, key: SecretKey, present: State, view: View, at: datetime, part: Part) -> State:
        """Return what a reader with this view sees at the time ``at``."""
        past = self._past.get(key, ())
        if view.writes:
            return _writes_ago([*(state for _, state in past), present], view.writes, part)
        then = at - timedelta(seconds=view.seconds)
        return next((state for until, state in past if until > then), present)


def _writes_ago(states: list[State], writes: int, part: Part) -> State:
    observed = states.pop()
    for state in reversed(states):
        if _differs(state, observed, part):
            observed, writes = state, writes - 1
            if not writes:
                break
    return observed


def _differs(one: State, other: State, part: Part) -> bool:
    if one is None or other is None:
        return one is not other
    return part(one) is not part(other)
