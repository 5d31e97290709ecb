"""A secret store and a database whose every effect is a stop.

They obey the rules of `tests.unit.engine.world` and add what a network can do: an answer that is
lost, a request that arrives late, a read that is old.

Rules of this module:
  1. A guarded effect that arrives late is carried out only if its guard (ETag, token) still holds.
  2. A version that is added late is added all the same: nothing guards it.
     A change of a role that is late holds the database's lock: it is over before the next one.
  3. The fence compares with the newest token of either slot, as the real one does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

from rotation.engine import codec
from rotation.engine.crashpoints import never
from rotation.engine.pool import IssuerPool
from rotation.engine.run import Tools
from rotation.engine.tick import Limits, Parts, Plugins
from rotation.engine.worker import Worker
from rotation.model.errors import (
    CredentialRefusedError,
    EtagMismatchError,
    PermanentError,
    StaleTokenError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.plugin import Minted, Observation, Verification
from rotation.model.rotation import State
from rotation.model.secret import Secret, SecretVersion, VersionState, VersionStatus
from rotation.participants.alias import AliasParticipant
from rotation.ports.issuer import IssuerEnvironment
from tests.unit.engine.world import (
    NAME,
    START,
    Clock,
    Lines,
    MemoryIssuer,
    MemorySettings,
    MemoryStore,
    Outbox,
    Role,
    one_by_one,
)

from .scheduler import CRASH, GO, LATE, LOST, STALE, UNAVAILABLE, Stop, pause

LEASE = timedelta(seconds=600)
POLICY = json.dumps(
    {
        "issuer": {"kind": "memory"},
        "soak": "1h",
        "retire": {"observe": "1h", "destroy_after": "2h"},
    }
)


def credential(payload: Payload) -> tuple[str, str]:
    """Return what a payload is to the database."""
    fields = payload.fields()
    return fields["username"], fields["password"]


class Trouble:
    """Meets every effect: stops before and after it, and plays what the schedule says."""

    def __init__(self) -> None:
        self.late: list[tuple[str, Callable[[], Any]]] = []
        #: Called after each effect that may have changed something.
        self.changed: Callable[[str], None] = lambda _: None

    def read(self, effect: str, do: Callable[[], Any], *, stale: bool = False) -> Any:
        answer = pause(Stop(effect, (GO, CRASH, UNAVAILABLE, *((STALE,) if stale else ()))))
        if answer == UNAVAILABLE:
            raise TemporaryError(f"{effect}: UNAVAILABLE")
        return answer if answer == STALE else do()

    def write(self, effect: str, do: Callable[[], Any], *, clean: bool = True) -> Any:
        """Carry out a change; ``clean`` says that it can also fail without effect."""
        failures = (UNAVAILABLE,) if clean else ()
        answer = pause(Stop(effect, (GO, CRASH, *failures, LATE)))
        if answer == UNAVAILABLE:
            raise TemporaryError(f"{effect}: UNAVAILABLE")
        if answer == LATE:
            self.late.append((effect, do))
            raise UnknownOutcomeError(f"{effect}: no answer")
        result = do()
        self.changed(effect)
        if pause(Stop(f"{effect} done", (GO, CRASH, LOST))) == LOST:
            raise UnknownOutcomeError(f"{effect}: the answer was lost")
        return result

    def in_turn(self, do: Callable[[], Any]) -> Callable[[], Any]:
        """Return a change of a role that waits for the late ones before it."""

        def locked() -> Any:
            earlier = [each for each in self.late if hasattr(each[1], "role_change")]
            self.late = [each for each in self.late if each not in earlier]
            for effect, late in earlier:
                with suppress(StaleTokenError, PermanentError):
                    late.role_change()  # type: ignore[attr-defined]
                self.changed(effect)
            return do()

        locked.role_change = do  # type: ignore[attr-defined]
        return locked

    def land(self) -> str:
        """Let the oldest late request arrive."""
        effect, do = self.late.pop(0)
        try:
            do()
        except (EtagMismatchError, StaleTokenError, PermanentError):
            return f"{effect} arrives late and is refused"
        self.changed(effect)
        return f"{effect} arrives late"


class ModelStore(MemoryStore):
    """The store of one secret; remembers old reads."""

    net: Trouble
    past: list[Secret]
    #: Number of each version added by whom, under which token of the secret.
    on_added: Callable[[int, Payload], None]
    on_state: Callable[[str, int], None]

    def get(self, name: SecretName) -> Secret:
        answer = self.net.read("get", lambda: super(ModelStore, self).get(name), stale=True)
        if answer == STALE:
            return self.past[-2] if len(self.past) > 1 else self.secret
        return answer  # type: ignore[no-any-return]

    def update(
        self,
        secret: Secret,
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        aliases: Mapping[str, int],
    ) -> Secret:
        def do() -> Secret:
            written = super(ModelStore, self).update(
                secret, labels=labels, annotations=annotations, aliases=aliases
            )
            self.past.append(written)
            return written

        return self.net.write("update", do)  # type: ignore[no-any-return]

    def touch(self, **changes: Any) -> None:
        super().touch(**changes)
        self.past.append(self.secret)

    def access(self, name: SecretName, version: int | str) -> SecretVersion:
        def do() -> SecretVersion:
            return super(ModelStore, self).access(name, version)

        return self.net.read(f"access {version}", do)  # type: ignore[no-any-return]

    def add_version(self, name: SecretName, payload: Payload) -> int:
        def do() -> int:
            number = super(ModelStore, self).add_version(name, payload)
            self.on_added(number, payload)
            return number

        return self.net.write("add version", do)  # type: ignore[no-any-return]

    def version(self, name: SecretName, number: int) -> VersionStatus:
        def do() -> VersionStatus:
            return super(ModelStore, self).version(name, number)

        return self.net.read(f"version {number}", do)  # type: ignore[no-any-return]

    def _set(self, call: str, number: int, etag: str, state: VersionState) -> None:
        def do() -> None:
            if self.versions[number][1] is VersionState.DESTROYED:
                if call == "enable":
                    raise PermanentError(f"version {number} is destroyed")
                return
            super(ModelStore, self)._set(call, number, etag, state)
            self.on_state(call, number)

        self.net.write(f"{call} {number}", do)


class ModelIssuer(MemoryIssuer):
    """The database of two roles; class attributes are set per world."""

    net: ClassVar[Trouble]
    verified: ClassVar[set[tuple[str, str]]]
    on_role: ClassVar[Callable[..., None]]
    revoked: ClassVar[set[str]]

    def connect(self) -> None:
        self.net.read("connect", lambda: None)

    def mint(self, slot: str, candidate: Payload, token: int, version: int) -> Minted:
        def do() -> Minted:
            minted = MemoryIssuer.mint(self, slot, candidate, token, version)
            self.revoked.discard(slot)
            self.on_role("mint", slot)
            return minted

        return self.net.write(f"mint {slot} (token {token})", self.net.in_turn(do))  # type: ignore[no-any-return]

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        def do() -> Verification:
            proof = MemoryIssuer.verify(self, payload, minted)
            self.verified.add(credential(payload))
            return proof

        who = payload.fields()["username"]
        return self.net.read(f"log in as {who}", do)  # type: ignore[no-any-return]

    def suspend(self, slot: str, token: int) -> None:
        self._fenced_write("suspend", slot, token)

    def restore(self, slot: str, token: int) -> None:
        self._fenced_write("restore", slot, token)

    def revoke(self, slot: str, token: int) -> int:
        return self._fenced_write("revoke", slot, token) or 0

    def observe(self, slot: str, witness: Payload) -> Observation:
        def do() -> Observation:
            try:
                MemoryIssuer.verify(self, witness)
            except CredentialRefusedError as refused:
                return Observation((), sighted=False, nodes=("memory",), blindness=str(refused))
            role = self.roles.setdefault(slot, Role())
            return Observation(tuple(role.sessions), sighted=True, nodes=("memory",))

        return self.net.read(f"observe {slot}", do)  # type: ignore[no-any-return]

    def _fenced_write(self, effect: str, slot: str, token: int) -> Any:
        def do() -> Any:
            if effect == "restore" and slot in self.revoked:
                self._fenced(slot, token)
                raise PermanentError(f"{slot} is revoked", reason="slot-revoked")
            done = getattr(MemoryIssuer, effect)(self, slot, token)
            if effect == "revoke":
                self.revoked.add(slot)
            self.on_role(effect, slot)
            if effect == "revoke" and done:
                self.on_role("throw out", slot)
            return done

        return self.net.write(f"{effect} {slot} (token {token})", self.net.in_turn(do))

    def _meet(self, effect: str) -> None:
        pass  # the net meets effects

    def _fenced(self, slot: str, token: int) -> Role:
        newest = max((role.token for role in self.roles.values()), default=0)
        if newest > token:
            raise StaleTokenError(f"token {newest} has been here", seen=newest)
        return MemoryIssuer._fenced(self, slot, token)


class World:
    """One secret, one database, any number of workers."""

    def __init__(self, *, first: bool = False, marked: bool = False) -> None:
        self.net = Trouble()
        self.clock = Clock()
        self.journal = Lines()
        self.outbox = Outbox()
        roles = {} if first else {"app_a": Role("password-0", login=True), "app_b": Role()}
        self.issuer: type[ModelIssuer] = type(
            "WorldIssuer",
            (ModelIssuer,),
            {
                "roles": roles,
                "passwords": itertools.count(1),
                "net": self.net,
                "verified": set(),
                "revoked": set(),
                "on_role": staticmethod(lambda *_: None),
            },
        )
        self.store = ModelStore(
            Secret(
                name=NAME,
                etag="etag-0",
                create_time=START - timedelta(days=100),
                labels={"team": "db"},
                annotations={"rotation.policy": POLICY, "theirs": "kept"},
                aliases={"theirs": 1} if first else {"theirs": 1, "current": 1},
            )
        )
        self.store.net = self.net
        self.store.past = [self.store.secret]
        self.store.on_added = lambda *_: None
        self.store.on_state = lambda *_: None
        if not first:
            fields = {"username": "app_a", "password": "password-0", "host": "db"}
            if marked:
                fields["rotation_id"] = "an-earlier-one"
            payload = Payload.of(fields)
            self.store.versions[1] = (payload, VersionState.ENABLED)
            self.issuer.verified.add(credential(payload))
        self._decoded: tuple[str, State] | None = None

    def worker(self, journal: Lines) -> Worker:
        """Return a new worker process."""
        issuers = IssuerPool(
            {"memory": self.issuer}, IssuerEnvironment(lambda _: Payload(b"{}"), lambda: "")
        )
        parts = Parts(
            tools=Tools(self.store, self.clock, never, pause=lambda _: None),
            plugins=Plugins(issuers, {"memory": MemorySettings}, {"alias": AliasParticipant}),
            limits=Limits(LEASE, LEASE * 0.8),
            gather=one_by_one,
            journal=journal,
            publisher=self.outbox,
        )
        return Worker(parts, timedelta(minutes=5), timedelta(days=1))

    @property
    def state(self) -> State:
        """What the secret says now."""
        secret = self.store.secret
        if self._decoded is None or self._decoded[0] != secret.etag:
            state = codec.decode(secret, secret.aliases.get("current"))
            self._decoded = (secret.etag, state)
        return self._decoded[1]

    @property
    def newest(self) -> int:
        """The version that ``latest`` means."""
        return max(self.store.versions, default=0)

    def opens(self, number: int) -> bool:
        """Whether a consumer can read one version and open a session with it."""
        if number not in self.store.versions:
            return False
        payload, state = self.store.versions[number]
        return state is VersionState.ENABLED and self.accepts(payload)

    def accepts(self, payload: Payload) -> bool:
        """Whether the database accepts a credential."""
        fields = payload.fields()
        role = self.issuer.roles.get(fields["username"], Role())
        return role.login and role.password == fields["password"]

    def ours(self) -> Iterator[int]:
        """Walk the enabled versions."""
        for number, (_, state) in self.store.versions.items():
            if state is VersionState.ENABLED:
                yield number
