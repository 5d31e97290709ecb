"""The participants and gates of one policy, built from their settings, and asked side by side.

Rules of this module:
  1. Nothing here decides; answers go to `rotation.machine.rollout`.
  2. One participant's trouble never hides another's answer: every one is asked, every answer kept.
  3. Trouble that may pass is an answer ("not yet"): the sweep asks again, no message is held up.
  4. Who lives outside, and each gate, is built when it is asked for the first time: most ticks
     find nothing to do, and clients of other systems are slow to import.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from msgspec import Struct

from rotation.engine.gather import Gather
from rotation.machine import rollout
from rotation.model.errors import PermanentError, RotationError
from rotation.model.plugin import Change
from rotation.model.policy import ParticipantChoice, Policy
from rotation.model.rollout import Verdict, Watch
from rotation.ports.gate import Gate, GateEnvironment
from rotation.ports.participant import (
    OutsideParticipant,
    ParticipantEnvironment,
    RidingParticipant,
)

_Answer = TypeVar("_Answer")
_Plugin = TypeVar("_Plugin")


class Riding(Struct, frozen=True):
    """A participant whose change rides in a write to the secret."""

    stage: str
    plugin: RidingParticipant


class Outside(Struct, frozen=True):
    """A participant that lives elsewhere."""

    stage: str
    #: ``stage/kind``, made unique by a number; what is stored of it.
    name: str
    choice: ParticipantChoice
    plugin: OutsideParticipant


class Gated(Struct, frozen=True):
    """A gate of a stage."""

    stage: str
    name: str
    plugin: Gate


class Reply(Struct, Generic[_Answer], frozen=True):
    """What one participant answered: a value, or why it cannot be asked again unchanged."""

    by: Outside
    answer: _Answer | None
    error: PermanentError | None = None
    #: It could not be asked now; the answer is made of the trouble.
    trouble: bool = False


class RolloutEnvironment(Struct, frozen=True):
    """What plugins of a rollout may ask for."""

    participants: ParticipantEnvironment | None = None
    gates: GateEnvironment | None = None


class Participants:
    """Everybody who takes part in the rollouts of one secret."""

    def __init__(
        self,
        policy: Policy,
        kinds: Mapping[str, Any],
        gates: Mapping[str, Any],
        environment: RolloutEnvironment,
        gather: Gather,
    ) -> None:
        self._policy = policy
        self._kinds = kinds
        self._gate_kinds = gates
        self._environment = environment
        self._gather = gather
        self._chosen = [
            choice
            for choice in _named(policy, lambda stage: stage.participants)
            if not kinds[choice[2].kind].spec.rides_in_write
        ]
        self.riding = riding_of(policy, kinds)
        self.staged = rollout.is_staged(policy, outside=bool(self._chosen))

    @cached_property
    def outside(self) -> Sequence[Outside]:
        """Those that live elsewhere."""
        make, environment = self._kinds, self._environment.participants
        return [
            Outside(stage, name, choice, make[choice.kind](choice.settings, environment))
            for stage, name, choice in self._chosen
        ]

    @cached_property
    def _gates(self) -> Sequence[Gated]:
        make, environment = self._gate_kinds, self._environment.gates
        return [
            Gated(stage, name, make[choice.kind](choice.settings, environment))
            for stage, name, choice in _named(self._policy, lambda stage: stage.gates)
        ]

    def pointed(self, aliases: Mapping[str, int]) -> int | None:
        """Return the version consumers of aliases get, where a participant knows."""
        return pointed(self.riding, aliases)

    def moved(
        self, aliases: Mapping[str, int], change: Change, stages: Iterable[str], *, back: bool
    ) -> dict[str, int]:
        """Return the aliases after the riding participants of ``stages`` have moved."""
        among = set(stages)
        for participant in self.riding:
            if participant.stage in among:
                move = participant.plugin.revert if back else participant.plugin.commit
                aliases = move(aliases, change)
        return dict(aliases)

    def handed_outside(self, stage: str) -> Sequence[Outside]:
        """Return those outside that were asked to hand *next* out by the time of ``stage``."""
        stages = {handed.stage for handed in rollout.handed(self._policy, stage)}
        return [participant for participant in self.outside if participant.stage in stages]

    def ask(
        self,
        asked: Sequence[Outside],
        question: Callable[[Outside], _Answer],
        not_yet: Callable[[str], _Answer],
    ) -> list[Reply[_Answer]]:
        """Ask outside participants side by side; each answers, or is in the way for good.

        Args:
            asked: Whom.
            question: What.
            not_yet: Makes an answer of trouble that may pass.
        """

        def answer(participant: Outside) -> Reply[_Answer]:
            try:
                return Reply(participant, question(participant))
            except PermanentError as error:
                return Reply(participant, None, error)
            except RotationError as error:
                return Reply(participant, not_yet(str(error)), trouble=True)

        return self._gather([_bound(answer, participant) for participant in asked]) if asked else []

    def check(
        self, stages: Iterable[str], watch: Callable[[str], Watch]
    ) -> list[tuple[str, Verdict]]:
        """Ask the gates of ``stages`` side by side.  A gate that breaks has observed nothing."""
        among = set(stages)
        asked = [gate for gate in self._gates if gate.stage in among]

        def verdict(gate: Gated) -> tuple[str, Verdict]:
            try:
                return gate.name, gate.plugin.check(watch(gate.stage))
            except RotationError as error:
                return gate.name, Verdict.wait(str(error))

        return self._gather([_bound(verdict, gate) for gate in asked]) if asked else []


def riding_of(policy: Policy, kinds: Mapping[str, Any]) -> Sequence[Riding]:
    """Return the riding participants of a policy, built from their settings."""
    return [
        Riding(stage, kinds[choice.kind](choice.settings))
        for stage, _, choice in _named(policy, lambda stage: stage.participants)
        if kinds[choice.kind].spec.rides_in_write
    ]


def pointed(riding: Iterable[Riding], aliases: Mapping[str, int]) -> int | None:
    """Return the version consumers of aliases get; None where no participant knows."""
    numbers = (participant.plugin.observe(aliases) for participant in riding)
    return next((number for number in numbers if number is not None), None)


def _bound(call: Callable[[_Plugin], Any], argument: _Plugin) -> Callable[[], Any]:
    return lambda: call(argument)


def _named(
    policy: Policy, chosen: Callable[[Any], Sequence[Any]]
) -> Iterator[tuple[str, str, Any]]:
    """Walk the choices of each stage with a name that is unique in the policy."""
    for stage in policy.rollout:
        counts: Counter[str] = Counter()
        for choice in chosen(stage):
            counts[choice.kind] += 1
            number = f"-{counts[choice.kind]}" if counts[choice.kind] > 1 else ""
            yield stage.stage, f"{stage.stage}/{choice.kind}{number}", choice
