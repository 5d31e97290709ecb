"""Where the aliases of a secret point, whether that is where they should, and how they move.

What is expected, and which stages move, is decided in `rotation.machine.pointing`; here the riding
participants are asked.  An alias is never written by itself: it moves in the write of an event.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from rotation.engine.participants import Participants
from rotation.machine import pointing, transitions
from rotation.model.errors import PermanentError
from rotation.model.phase import Event
from rotation.model.plugin import Change
from rotation.model.policy import Policy
from rotation.model.rotation import State
from rotation.model.secret import Secret


class Pointers:
    """The aliases of one secret, as its participants read and move them."""

    def __init__(self, policy: Policy, participants: Participants) -> None:
        self._policy = policy
        self._participants = participants

    def observed(self, secret: Secret) -> int | None:
        """Return the version consumers get, where a participant knows."""
        return self._participants.pointed(secret.aliases)

    def check(self, secret: Secret, state: State) -> None:
        """Make sure that consumers are pointed where this phase believes they are.

        Raises:
            PermanentError: Somebody moved the pointer by hand.
        """
        riding = [participant.stage for participant in self._participants.riding]
        observed = self.observed(secret)
        expected = pointing.expected(state, self._policy, riding)
        if observed in {None, expected} or pointing.is_beyond_doubt(state):
            return
        raise PermanentError(
            f"consumers are pointed to version {observed}, and the rotation expects {expected}",
            remedy="point them back, or ask for a revert; then unblock",
            reason="pointer-moved",
        )

    def moved(self, state: State, event: Event, facts: Mapping[str, Any]) -> State:
        """Return the state with the aliases of the stages that ``event`` moves."""
        record = state.in_flight
        stages = pointing.moving(state, event, self._policy, facts.get("stage", record.stage))
        if not stages:
            return state
        change = Change(record.previous, facts.get("next", record.next) or 0)
        back = event in transitions.TAKEN_BACK
        aliases = self._participants.moved(state.aliases, change, stages, back=back)
        return replace(state, aliases=aliases)
