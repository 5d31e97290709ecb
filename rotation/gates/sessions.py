"""Who has arrived on the next credential's slot, and who is still on the previous one's.

The issuer looks, and proves with a planted session that it sees.

Rules of this module:
  1. A list counts only when it is conclusive: an empty one from a blind observer proves nothing.
  2. It never fails: a consumer that has not moved is late, not hurt.
"""

from dataclasses import dataclass
from typing import ClassVar, Final

from rotation.gates._wording import counted, printable, reason_of, tallied
from rotation.model.errors import PolicyError, RotationError
from rotation.model.permission import FailureMode, NotNeeded
from rotation.model.plugin import GateSpec, Observation, Session
from rotation.model.rollout import Verdict, Watch
from rotation.ports.gate import GateEnvironment

_MOST_ARRIVED: Final = 10_000
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, kw_only=True)
class SessionsSettings:
    """A ``sessions`` gate, without ``kind``."""

    #: How many sessions must be on the next credential's slot, on all nodes together.
    arrived: int = 1
    #: Whether everybody must have left the previous credential's slot.
    left: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.arrived <= _MOST_ARRIVED:
            raise PolicyError(f"arrived must be between 0 and {_MOST_ARRIVED}")
        if not self.arrived and not self.left:
            raise PolicyError("arrived: 0 waits for nothing; set left: true, or arrived to 1")


class SessionsGate:
    """Waits until consumers have moved, as their database sees it."""

    spec: ClassVar[GateSpec] = GateSpec(
        name="sessions",
        title="Sessions on the two slots",
        does="looks who has a session with the next credential, and who still has one with the "
        "previous, on every node the issuer knows",
        settings=SessionsSettings,
        needs_use=True,
        permissions_not_needed=(
            NotNeeded("any permission or right of its own", "the issuer looks, with what it has"),
        ),
        network=("nothing of its own: the issuer looks",),
        failure_modes=(
            FailureMode(
                "a node does not answer, or the planted session is not seen",
                "it waits: an empty list proves nothing then",
            ),
            FailureMode("consumers are late", "it waits; it never fails"),
        ),
        guide="gates.md#sessions",
    )

    def __init__(
        self,
        settings: SessionsSettings,
        environment: GateEnvironment,  # noqa: ARG002 - the issuer has all it needs
    ) -> None:
        self._settings = settings

    def check(self, watch: Watch) -> Verdict:
        """Look who is on which slot now."""
        try:
            return self._judge(watch)
        except RotationError as error:
            return Verdict.wait(f"sessions cannot be seen: {reason_of(error)}")

    def _judge(self, watch: Watch) -> Verdict:
        arrived = watch.next_use()
        if not arrived.is_conclusive:
            return _blind(arrived)
        on_next = f"{_count(arrived.sessions)} on version {watch.change.next}"
        if len(arrived.sessions) < self._settings.arrived:
            return Verdict.wait(f"{on_next}, {self._settings.arrived} needed")
        if not self._settings.left or watch.previous_use is None:
            return Verdict.passed(on_next)
        staying = watch.previous_use()
        if not staying.is_conclusive:
            return _blind(staying)
        before = f"version {watch.change.previous}"
        if staying.sessions:
            return Verdict.wait(f"{_count(staying.sessions)} still on {before}; {on_next}")
        return Verdict.passed(f"{on_next}, none on {before}")


def _blind(observation: Observation) -> Verdict:
    why = printable(observation.unobservable_reason, _LONGEST_REASON) or "the observer saw no proof"
    return Verdict.wait(f"sessions cannot be seen: {why}")


def _count(sessions: tuple[Session, ...]) -> str:
    names = f" ({tallied(session.client for session in sessions)})" if sessions else ""
    return counted(len(sessions), "session") + names


GATE = SessionsGate
