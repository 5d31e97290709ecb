"""A small honest world for the engine: a secret store with ETags and a database with a fence.

It runs in memory and obeys the rules the real ones obey; the acceptance tests run the same
engine on the real ones.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from msgspec import structs
from msgspec.structs import replace

from rotation.engine.crashpoints import CrashPoint
from rotation.engine.parts import Limits, Parts, Plugins, Tools
from rotation.engine.pool import IssuerPool
from rotation.engine.worker import Worker
from rotation.model.errors import (
    CredentialRefusedError,
    EtagMismatchError,
    NotFoundError,
    SlotInUseError,
    StaleTokenError,
    VersionUnavailableError,
)
from rotation.model.keys import KeyRing
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.plugin import (
    GateSpec,
    IssuerSpec,
    Minted,
    Observation,
    ParticipantSpec,
    Session,
    Verification,
)
from rotation.model.rollout import (
    Move,
    Plan,
    PlannedEdit,
    Progress,
    ServedVersions,
    Verdict,
    Vote,
    Watch,
)
from rotation.model.secret import Schedule, Secret, SecretVersion, VersionState, VersionStatus
from rotation.model.target import TargetSettings
from rotation.model.wakeup import Ask, Request, WakeUp, WakeUpKind
from rotation.participants.alias import AliasParticipant
from rotation.policies.choosing import Asking
from rotation.policies.policy import Kinds
from rotation.policies.targets import Targets, decode_targets
from rotation.ports.issuer import IssuerEnvironment, MintRequest
from tests.support.keys import KEYS
from tests.support.minting import TWO_SLOTS

NAME = SecretName("123456789012", "app")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Killed(BaseException):
    """The process died here."""


@dataclass
class Clock:
    time: datetime = START

    def now(self) -> datetime:
        return self.time

    def advance(self, **step: float) -> None:
        self.time += timedelta(**step)


@dataclass
class Role:
    password: str | None = None
    login: bool = False
    token: int = 0
    sessions: list[Session] = field(default_factory=list)


@dataclass(frozen=True)
class MemoryTarget(TargetSettings):
    name: str = "memory"


@dataclass(frozen=True)
class MemorySettings(MemoryTarget):
    slots: tuple[str, str] = ("app_a", "app_b")


class MemoryKeys:
    """A system of two roles that suspends nothing and shows nobody; `roles` is a world's own."""

    spec: ClassVar[IssuerSpec] = IssuerSpec(
        "memory",
        "Memory",
        "roles in memory",
        MemorySettings,
        capabilities=structs.replace(TWO_SLOTS, suspends=False, sees_use=False),
    )
    roles: ClassVar[dict[str, Role]] = {}
    #: Called with the method's name before each effect; raises what the test wants.
    trouble: ClassVar[Callable[[str], None]] = staticmethod(lambda _: None)
    is_conclusive: ClassVar[bool] = True
    passwords: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self, settings: MemorySettings, environment: IssuerEnvironment) -> None:
        self._slots = settings.slots

    def connect(self) -> None:
        self._meet("connect")

    def close(self) -> None:
        pass

    def preflight(self, current: Payload | None) -> tuple[()]:
        return ()

    def identify(self, payload: Payload) -> str:
        return str(payload.fields()["username"])

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:
        first, second = self._slots
        return second if current and self.identify(current) == first else first

    def propose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        kept = current.fields() if current else {}
        password = f"password-{next(self.passwords)}"
        return Payload.of(
            {**kept, "username": slot, "password": password, "rotation_id": rotation_id}
        )

    def mint(self, request: MintRequest) -> Minted:
        self._meet("mint")
        slot, candidate = request.handle, request.proposed
        role = self._fenced(slot, request.token)
        if role.sessions:
            raise SlotInUseError(f"{len(role.sessions)} sessions on {slot}")
        role.password, role.login = candidate.fields()["password"], True
        self._meet("minted")
        return Minted(slot, candidate)

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        self._meet("verify")
        fields = payload.fields()
        role = self.roles.get(fields["username"], Role())
        if not role.login or role.password != fields["password"]:
            raise CredentialRefusedError(f"login as {fields['username']} was refused")
        return Verification(("memory",), "owner")

    def revoke(self, slot: str, token: int) -> int:
        self._meet("revoke")
        role = self._fenced(slot, token)
        ended, role.sessions = len(role.sessions), []
        role.login, role.password = False, None
        return ended

    def _meet(self, effect: str) -> None:
        type(self).trouble(effect)

    def _fenced(self, slot: str, token: int) -> Role:
        role = self.roles.setdefault(slot, Role())
        if role.token > token:
            raise StaleTokenError(f"{slot} has seen token {role.token}", newest=role.token)
        role.token = token
        return role


class MemorySuspending(MemoryKeys):
    """A system of two roles that can suspend, and shows nobody."""

    spec: ClassVar[IssuerSpec] = structs.replace(
        MemoryKeys.spec, capabilities=structs.replace(TWO_SLOTS, sees_use=False)
    )

    def suspend(self, slot: str, token: int) -> None:
        self._meet("suspend")
        self._fenced(slot, token).login = False

    def restore(self, slot: str, token: int) -> None:
        self._meet("restore")
        self._fenced(slot, token).login = True


class MemoryIssuer(MemorySuspending):
    """A database of two roles, which can suspend and sees."""

    spec: ClassVar[IssuerSpec] = structs.replace(MemoryKeys.spec, capabilities=TWO_SLOTS)

    def handles(self) -> tuple[str, str]:
        return self._slots

    def observe(self, slot: str, witness: Payload) -> Observation:
        self._meet("observe")
        self.verify(witness)
        sessions = tuple(self.roles[slot].sessions)
        reason = "" if self.is_conclusive else "lacks pg_read_all_stats"
        return Observation(sessions, self.is_conclusive, ("memory",), reason)


@dataclass(frozen=True)
class PinSettings:
    file: str = "pins"


class MemoryPin:
    """A participant outside the secret: the pin of some consumers, with a draft of its change."""

    spec: ClassVar[ParticipantSpec] = ParticipantSpec("pin", "Pin", "a pin in memory", PinSettings)
    #: By file: what consumers read, and what is ready to be merged; shared within a world.
    pins: ClassVar[dict[str, int]] = {}
    drafts: ClassVar[dict[str, int]] = {}
    #: Called with ``file.method``; raises, or returns an answer in place of the usual one.
    answers: ClassVar[Callable[[str], Any]] = staticmethod(lambda _: None)
    calls: ClassVar[list[str]] = []

    def __init__(self, settings: PinSettings, environment: object) -> None:
        self._file = settings.file

    def plan(self, move: Move) -> Plan:
        return Plan((PlannedEdit(self._file, f"{move.change.previous} -> {move.change.next}"),))

    def prepare(self, move: Move) -> Vote:
        self.drafts[self._file] = move.change.next
        return self._met("prepare") or Vote.yes(f"link-{self._file}")

    def commit(self, move: Move) -> Progress:
        answer = self._met("commit")
        if answer is None:
            self.pins[self._file] = move.change.next
            self.drafts.pop(self._file, None)
        return answer or Progress.done()

    def revert(self, move: Move) -> Progress:
        answer = self._met("revert")
        if answer is None and self.pins[self._file] == move.change.next:
            self.pins[self._file] = move.change.previous or 0
        return answer or Progress.done()

    def abort(self, move: Move) -> None:
        self._met("abort")
        self.drafts.pop(self._file, None)

    def observe(self, move: Move) -> ServedVersions:
        self._met("observe")
        return ServedVersions(frozenset({self.pins[self._file]}), place=self._file)

    def retire(self, move: Move) -> None:
        self._met("retire")

    def _met(self, method: str) -> Any:
        self.calls.append(f"{self._file}.{method}")
        return type(self).answers(f"{self._file}.{method}")


@dataclass(frozen=True)
class GateSettings:
    name: str = "gate"


class MemoryGate:
    """A gate that says what the test wants."""

    spec: ClassVar[GateSpec] = GateSpec("gate", "Gate", "nothing", GateSettings)
    verdicts: ClassVar[Callable[[str, Watch], Verdict]] = staticmethod(
        lambda name, _: Verdict.passed(f"{name} is well")
    )

    def __init__(self, settings: GateSettings, environment: object) -> None:
        self._name = settings.name

    def check(self, watch: Watch) -> Verdict:
        return type(self).verdicts(self._name, watch)


@dataclass
class MemoryStore:
    """One secret, with Secret Manager's rules for ETags and versions."""

    secret: Secret
    versions: dict[int, tuple[Payload, VersionState]] = field(default_factory=dict)
    version_etags: dict[int, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    #: Whether others need the quota of writes.
    busy: bool = False
    #: Called before and after each call; raises what the test wants.
    trouble: Callable[[str], None] = lambda _: None
    stale: list[Secret] = field(default_factory=list)
    _etags: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def get(self, name: SecretName) -> Secret:
        self._called("get")
        if name.secret_id != self.secret.name.secret_id:
            raise NotFoundError(f"Secret [{name}] not found.")
        return self.stale.pop(0) if self.stale else self.secret

    def update(
        self,
        secret: Secret,
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        aliases: Mapping[str, int],
    ) -> Secret:
        self._called("update")
        if secret.etag != self.secret.etag:
            raise EtagMismatchError("stale etag")
        self.secret = replace(
            self.secret,
            etag=f"etag-{next(self._etags)}",
            labels=dict(labels),
            annotations=dict(annotations),
            aliases=dict(aliases),
        )
        self.trouble("updated")
        return self.secret

    def touch(self, **changes: Any) -> None:
        self.secret = replace(self.secret, etag=f"etag-{next(self._etags)}", **changes)

    def access(self, name: SecretName, version: int | str) -> SecretVersion:
        self._called("access")
        number = max(self.versions, default=0) if version == "latest" else int(version)
        if number not in self.versions:
            raise NotFoundError(f"Secret Version [{name.version(version)}] not found.")
        payload, state = self.versions[number]
        if state is not VersionState.ENABLED:
            raise VersionUnavailableError(f"version {number} is {state.value}")
        return SecretVersion(number, payload)

    def add_version(self, name: SecretName, payload: Payload) -> int:
        self._called("add_version")
        number = max(self.versions, default=0) + 1
        self.versions[number] = (payload, VersionState.ENABLED)
        self.trouble("added")
        return number

    def is_busy(self) -> bool:
        return self.busy

    def version(self, name: SecretName, number: int) -> VersionStatus:
        self._called("version")
        if number not in self.versions:
            raise NotFoundError(f"Secret Version [{name.version(number)}] not found.")
        return VersionStatus(number, self.versions[number][1], self._etag_of(number))

    def enable(self, name: SecretName, number: int, etag: str) -> None:
        self._set("enable", number, etag, VersionState.ENABLED)

    def disable(self, name: SecretName, number: int, etag: str) -> None:
        self._set("disable", number, etag, VersionState.DISABLED)

    def destroy(self, name: SecretName, number: int, etag: str) -> None:
        self._set("destroy", number, etag, VersionState.DESTROYED)

    def list(self) -> Iterator[Secret]:
        self._called("list")
        yield self.secret

    def _set(self, call: str, number: int, etag: str, state: VersionState) -> None:
        self._called(call)
        if etag != self._etag_of(number):
            raise EtagMismatchError("stale etag")
        self.version_etags[number] = f"etag-{next(self._etags)}"
        self.versions[number] = (self.versions[number][0], state)

    def _etag_of(self, number: int) -> str:
        return self.version_etags.get(number, "etag-of-new")

    def _called(self, method: str) -> None:
        self.trouble(method)
        self.calls.append(method)


@dataclass
class Lines:
    """A journal that keeps its lines."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    #: Those that alerts are made of, with severity and message among the fields.
    events: list[dict[str, Any]] = field(default_factory=list)

    def note(self, severity: str, message: str, **fields: Any) -> None:
        self.lines.append((severity, message))
        if "event" in fields:
            self.events.append({"severity": severity, "message": message, **fields})

    def events_named(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of one event."""
        return [happened for happened in self.events if happened["event"] == event]

    def __contains__(self, text: str) -> bool:
        return any(text in message for _, message in self.lines)


@dataclass
class Outbox:
    """A publisher that keeps its messages."""

    messages: list[Mapping[str, str]] = field(default_factory=list)

    def publish(self, messages: Sequence[Mapping[str, str]]) -> None:
        self.messages.extend(messages)


def one_by_one(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    return [call() for call in calls]


class World:
    """One secret, one database, any number of workers."""

    def __init__(
        self, *, first: bool = False, kind: type[MemoryKeys] = MemoryIssuer, **policy: Any
    ) -> None:
        roles = {"app_a": Role("password-0", login=True), "app_b": Role()}
        self.issuer = type(
            "WorldIssuer",
            (kind,),
            {"roles": {} if first else roles, "passwords": itertools.count(1)},
        )
        self.pin = type("WorldPin", (MemoryPin,), {"pins": {}, "drafts": {}, "calls": []})
        self.gate = type("WorldGate", (MemoryGate,), {})
        #: What the deployment lets be touched: here, by every secret; None: it has no document.
        self.targets: Targets | None = None
        self.allow(f"projects/{NAME.project}/secrets/*")
        self.clock = Clock()
        self.journal = Lines()
        self.outbox = Outbox()
        text = json.dumps(
            {
                "issuer": {"kind": "memory", "target": "db"},
                "soak": "1h",
                "retire": {"observe": "1h", "destroy_after": "12h"},
                **policy,
            }
        )
        self.store = MemoryStore(
            Secret(
                name=NAME,
                etag="etag-0",
                create_time=START - timedelta(days=100),
                labels={"team": "db"},
                annotations={"rotation.policy": text, "theirs": "kept"},
                aliases={"theirs": 1, "current": 1} if not first else {},
                schedule=Schedule(START + timedelta(days=30), timedelta(days=30)),
            )
        )
        if not first:
            payload = Payload.of(
                {"username": "app_a", "password": "password-0", "host": "db", "extra": "kept"}
            )
            self.store.versions[1] = (payload, VersionState.ENABLED)
        self.keys: KeyRing | None = KEYS
        self.reached: list[CrashPoint] = []
        self._ids = itertools.count(1)

    def worker(self, at: CrashPoint | None = None, do: Callable[[], None] | None = None) -> Worker:
        """Return a new worker; at the crash point ``at`` it does ``do``, or dies."""
        pending = [at] if at else []

        def reach(point: CrashPoint) -> None:
            self.reached.append(point)
            if point in pending:
                pending.remove(point)
                if do is None:
                    raise Killed(point.value)
                do()

        issuers = IssuerPool(
            {"memory": self.issuer},
            IssuerEnvironment(lambda _: Payload(b"{}"), lambda: ""),
        )
        parts = Parts(
            tools=Tools(
                self.store, self.clock, reach, one_by_one, pause=lambda _: None, keys=self.keys
            ),
            plugins=Plugins(
                issuers,
                {"alias": AliasParticipant, "pin": self.pin},
                Kinds(
                    {"memory": MemorySettings},
                    {"alias": AliasParticipant.spec.settings, "pin": PinSettings},
                    {"gate": GateSettings},
                    asking=Asking(self.targets),
                ),
                {"gate": self.gate},
            ),
            limits=Limits(timedelta(seconds=600), timedelta(seconds=480)),
            journal=self.journal,
            publisher=self.outbox,
        )
        return Worker(parts, timedelta(minutes=5), timedelta(days=1))

    def allow(self, secrets: str, **demands: str) -> None:
        """Give the deployment a document that lets the secrets use the issuer."""
        memory = {"kind": "memory", "secrets": [secrets], "demands": demands}
        self.targets = decode_targets({"targets": {"db": memory}}, {"memory": MemorySettings})

    def scheduled(self) -> WakeUp:
        return WakeUp(WakeUpKind.ROTATE, NAME, f"m{next(self._ids)}", self.clock.time)

    def woken(self, reason: str = "wait over") -> WakeUp:
        return WakeUp(WakeUpKind.WAKE, NAME, f"m{next(self._ids)}", self.clock.time, None, reason)

    def asked(self, mode: Ask = Ask.ROUTINE, **more: Any) -> WakeUp:
        number = next(self._ids)
        request = Request(mode, self.clock.time, f"r{number}", "because", "sre", **more)
        return WakeUp(WakeUpKind.REQUEST, NAME, f"m{number}", self.clock.time, request)

    def settle(self) -> None:
        """Let time pass, with a sweep's wake-up every half hour, until nothing is owed."""
        for _ in range(60):
            if "rotation_phase" not in self.store.secret.labels:
                return
            self.clock.advance(minutes=30)
            self.worker().tick(self.woken())
        raise AssertionError(f"never settled: {self.journal.lines[-3:]}")

    def logs_in(self, number: int) -> bool:
        """Whether the credential of one version opens a session."""
        payload, state = self.store.versions[number]
        if state is not VersionState.ENABLED:
            return False
        role = self.issuer.roles[payload.fields()["username"]]
        return role.login and role.password == payload.fields()["password"]

    @property
    def labels(self) -> Mapping[str, str]:
        return self.store.secret.labels

    @property
    def aliases(self) -> Mapping[str, int]:
        return self.store.secret.aliases

    @property
    def receipt(self) -> dict[str, Any]:
        return dict(json.loads(self.store.secret.annotations["rotation.receipt"]))

    def states(self) -> dict[int, str]:
        return {number: state.value for number, (_, state) in self.store.versions.items()}
