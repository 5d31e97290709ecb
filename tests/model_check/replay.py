"""Runs the real engine one effect at a time, as a function of the answers it got.

A worker keeps nothing but the answers it got: in the middle of a tick it is its wake-up and the
answers so far.  Each runs as a coroutine that stands still at every effect.  One that has gone
on cannot go back: where another answer is tried, the tick is run again from its start with the
answers that led there.  What was run once is remembered.

Rules of this module:
  1. The code that runs is `rotation.engine.worker.Worker`, unchanged; only its ports are ours.
  2. A tick is deterministic: the clock shows the time at which the last answer was given, and
     passwords are named after the delivery and their place in it.
  3. An answer is a value (`world.Failed` for an error), so that equal pasts are one past.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple

from greenlet import greenlet

from rotation.engine.crashpoints import never
from rotation.engine.gather import Call
from rotation.engine.parts import Limits, Parts, Plugins, Tools
from rotation.engine.pool import IssuerPool
from rotation.engine.worker import Worker
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.plugin import (
    GateSpec,
    IssuerSpec,
    Minted,
    Observation,
    ParticipantSpec,
    Verification,
)
from rotation.model.rollout import Move, Plan, Progress, ServedVersions, Verdict, Vote, Watch
from rotation.model.secret import Secret, SecretVersion, VersionStatus
from rotation.model.wakeup import WakeUp
from rotation.participants.alias import AliasParticipant
from rotation.policies.policy import Kinds
from rotation.ports.issuer import IssuerEnvironment, MintRequest
from tests.support.keys import KEYS
from tests.support.minting import TWO_SLOTS

from .world import LEASE, SLOTS, START, Effect, Failed, pairs, secret_of

#: Workers kept standing; the one that stands longest is run again when it is wanted.
KEPT = 20_000


class Answer(NamedTuple):
    """What a worker hears, and when."""

    clock: int
    value: Any


@dataclass(frozen=True)
class Standstill:
    """A worker between two effects."""

    wake_up: WakeUp
    serial: str
    answers: tuple[Answer, ...]
    #: What it asks for next; None: its tick is over.
    asks: Effect | None
    #: What its tick ended with.
    error: Exception | None = None
    #: What it has logged so far.
    notes: tuple[tuple[str, str], ...] = ()


class Replays:
    """Every standstill met, by number."""

    def __init__(self) -> None:
        self._met: list[Standstill] = []
        self._begun: dict[tuple[WakeUp, str, int], int] = {}
        self._after: dict[tuple[int, Answer], int] = {}
        #: Workers that still stand where a standstill was met.
        self._alive: OrderedDict[int, _Tape] = OrderedDict()

    def __getitem__(self, number: int) -> Standstill:
        return self._met[number]

    def __len__(self) -> int:
        return len(self._met)

    def begin(self, wake_up: WakeUp, serial: str, clock: int) -> int:
        """Deliver a wake-up; return where the worker stands."""
        key = (wake_up, serial, clock)
        if key not in self._begun:
            begun = Answer(clock, None)
            self._begun[key] = self._note(_Tape(wake_up, serial), wake_up, serial, (begun,))
        return self._begun[key]

    def answer(self, number: int, answer: Answer) -> int:
        """Let the worker at a standstill hear an answer; return where it stands next."""
        key = (number, answer)
        if key not in self._after:
            met = self._met[number]
            tape = self._alive.pop(number, None) or self._again(met)
            answers = (*met.answers, answer)
            self._after[key] = self._note(tape, met.wake_up, met.serial, answers)
        return self._after[key]

    def _again(self, met: Standstill) -> _Tape:
        tape = _Tape(met.wake_up, met.serial)
        for answer in met.answers:
            tape.hear(answer)
        return tape

    def _note(self, tape: _Tape, wake_up: WakeUp, serial: str, answers: tuple[Answer, ...]) -> int:
        tape.hear(answers[-1])
        notes = tuple(tape.notes)
        self._met.append(Standstill(wake_up, serial, answers, tape.asks, tape.error, notes))
        number = len(self._met) - 1
        if tape.asks is not None:
            self._alive[number] = tape
            if len(self._alive) > KEPT:
                self._alive.popitem(last=False)
        return number


class _Tape:
    """One worker under way, and all it can see: answers, clock, journal and publisher."""

    def __init__(self, wake_up: WakeUp, serial: str) -> None:
        self.asks: Effect | None = None
        self.error: Exception | None = None
        self.notes: list[tuple[str, str]] = []
        self._serial = serial
        self._candidates = 0
        self._clock = 0
        self._worker = greenlet(lambda _: self._run(wake_up))

    def hear(self, answer: Answer) -> None:
        """Let the worker go on to its next effect, or to its end."""
        self._clock = answer.clock
        self._worker.switch(answer.value)

    def ask(self, name: str, *args: Any) -> Any:
        """Stand still until there is an answer, and return it."""
        self.asks = Effect(name, args)
        value = self._worker.parent.switch()
        if isinstance(value, Failed):
            raise value.error()
        return value

    def now(self) -> datetime:
        return START + timedelta(seconds=self._clock)

    def note(self, severity: str, message: str, **_: str | float | None) -> None:
        self.notes.append((severity, message))

    def publish(self, messages: Sequence[Mapping[str, str]]) -> None:
        self.ask("publish", tuple(pairs(message) for message in messages))

    def candidate(self) -> str:
        self._candidates += 1
        return f"password-{self._serial}-{self._candidates}"

    def _run(self, wake_up: WakeUp) -> None:
        try:
            _worker(self).tick(wake_up)
        except Exception as raised:  # noqa: BLE001 - the rules judge it
            self.error = raised
        self.asks = None


class _Store:
    """Secret Manager, as the engine sees it."""

    def __init__(self, tape: _Tape) -> None:
        self._ask = tape.ask

    def get(self, name: SecretName) -> Secret:
        return secret_of(self._ask("get"))

    def update(
        self,
        secret: Secret,
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        aliases: Mapping[str, int],
    ) -> Secret:
        maps = (pairs(labels), pairs(annotations), pairs(aliases))
        return secret_of(self._ask("update", secret.etag, *maps))

    def access(self, name: SecretName, version: int | str) -> SecretVersion:
        number, payload = self._ask("access", version)
        return SecretVersion(number, Payload(payload))

    def add_version(self, name: SecretName, payload: Payload) -> int:
        return int(self._ask("add", payload.reveal()))

    def is_busy(self) -> bool:
        return False

    def version(self, name: SecretName, number: int) -> VersionStatus:
        found = self._ask("version", number)
        return VersionStatus(number, found.state, found.etag)

    def enable(self, name: SecretName, number: int, etag: str) -> None:
        self._ask("enable", number, etag)

    def disable(self, name: SecretName, number: int, etag: str) -> None:
        self._ask("disable", number, etag)

    def destroy(self, name: SecretName, number: int, etag: str) -> None:
        self._ask("destroy", number, etag)

    def list(self) -> Iterator[Secret]:
        return iter(())


@dataclass(frozen=True)
class _Settings:
    """The model's issuer has none."""


class _Issuer:
    """The database, as the engine sees it; ``tape`` is set for each run."""

    spec: ClassVar[IssuerSpec] = IssuerSpec(
        "memory", "Memory", "roles in memory", _Settings, capabilities=TWO_SLOTS
    )
    tape: ClassVar[_Tape]

    def __init__(self, settings: _Settings, environment: IssuerEnvironment) -> None:
        pass

    def connect(self) -> None:
        self.tape.ask("connect")

    def close(self) -> None:
        pass

    def preflight(self, current: Payload | None) -> tuple[()]:
        return ()

    def handles(self) -> tuple[str, str]:
        return SLOTS

    def identify(self, payload: Payload) -> str:
        return str(payload.fields()["username"])

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:
        first, second = self.handles()
        return second if current and self.identify(current) == first else first

    def propose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        kept = current.fields() if current else {}
        mine = {"username": slot, "password": self.tape.candidate(), "rotation_id": rotation_id}
        return Payload.of({**kept, **mine})

    def mint(self, request: MintRequest) -> Minted:
        sent = request.proposed.reveal()
        self.tape.ask("mint", request.handle, sent, request.version, request.token)
        return Minted(request.handle, request.proposed)

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        answer: Verification = self.tape.ask("verify", payload.reveal())
        return answer

    def suspend(self, slot: str, token: int) -> None:
        self.tape.ask("suspend", slot, token)

    def restore(self, slot: str, token: int) -> None:
        self.tape.ask("restore", slot, token)

    def revoke(self, slot: str, token: int) -> int:
        return int(self.tape.ask("revoke", slot, token))

    def observe(self, slot: str, witness: Payload) -> Observation:
        answer: Observation = self.tape.ask("observe", slot, witness.reveal())
        return answer


@dataclass(frozen=True)
class _PinSettings:
    file: int


class _Pin:
    """A pin in a repository, as the engine sees it."""

    spec: ClassVar[ParticipantSpec] = ParticipantSpec("pin", "Pin", "a pin", _PinSettings)
    tape: ClassVar[_Tape]

    def __init__(self, settings: _PinSettings, environment: object) -> None:
        self._file = settings.file

    def plan(self, move: Move) -> Plan:
        return Plan()

    def prepare(self, move: Move) -> Vote:
        change = move.change
        answer = self.tape.ask("prepare", self._file, change.previous, change.next)
        return Vote.yes() if answer == "done" else Vote.no("it has drifted")

    def commit(self, move: Move) -> Progress:
        return _progress(self.tape.ask("hand", self._file, move.change.next))

    def revert(self, move: Move) -> Progress:
        change = move.change
        return _progress(self.tape.ask("take back", self._file, change.previous, change.next))

    def abort(self, move: Move) -> None:
        self.tape.ask("drop", self._file, move.change.next)

    def observe(self, move: Move) -> ServedVersions:
        return ServedVersions(frozenset({self.tape.ask("look", self._file)}))

    def retire(self, move: Move) -> None:
        self.tape.ask("clean up", self._file)


def _progress(answer: str) -> Progress:
    return Progress.done() if answer == "done" else Progress.wait("it cannot be merged")


class _Gate:
    """Whether the canary is well, as the engine sees it."""

    spec: ClassVar[GateSpec] = GateSpec("gate", "Gate", "the canary", _Settings)
    tape: ClassVar[_Tape]

    def __init__(self, settings: _Settings, environment: object) -> None:
        pass

    def check(self, watch: Watch) -> Verdict:
        failing = self.tape.ask("gate")
        return Verdict.failed("requests fail") if failing else Verdict.passed("all is well")


def _one_by_one(calls: Sequence[Call]) -> list[Any]:
    return [call() for call in calls]


_KINDS = Kinds(
    {"memory": _Settings},
    {"alias": AliasParticipant.spec.settings, "pin": _PinSettings},
    {"gate": _Settings},
)


def _worker(tape: _Tape) -> Worker:
    issuer = type("_TapedIssuer", (_Issuer,), {"tape": tape})
    environment = IssuerEnvironment(lambda _: Payload(b"{}"), lambda: "")
    parts = Parts(
        tools=Tools(_Store(tape), tape, never, _one_by_one, pause=lambda _: None, keys=KEYS),
        plugins=Plugins(
            IssuerPool({"memory": issuer}, environment),
            {"alias": AliasParticipant, "pin": type("_TapedPin", (_Pin,), {"tape": tape})},
            _KINDS,
            {"gate": type("_TapedGate", (_Gate,), {"tape": tape})},
        ),
        limits=Limits(LEASE, LEASE * 0.8),
        journal=tape,
        publisher=tape,
    )
    return Worker(parts, timedelta(minutes=5), timedelta(days=1))
