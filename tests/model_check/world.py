"""One secret, its versions, the two roles of a database and pins in two places, as a value.

Everything a worker can do to the world is an `Effect`; `carry_out` returns the world after it and
what the worker hears.  The rules are those of Secret Manager and of the issuer's fence, cut down to
what a rotation can notice.

Rules of this module:
  1. A world is never changed: every effect makes a new one, so worlds can be compared and kept.
  2. What is guarded is refused exactly where the real thing refuses: a stale ETag of the secret or
     of a version, a token older than the newest of either slot.
  3. No clock, no randomness, no threads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from rotation.engine import codec
from rotation.model.errors import (
    CredentialRefusedError,
    EtagMismatchError,
    NotFoundError,
    PermanentError,
    RotationError,
    SlotInUseError,
    StaleTokenError,
    VersionUnavailableError,
)
from rotation.model.names import SecretName
from rotation.model.payload import Payload
from rotation.model.plugin import Observation, Session, Verification
from rotation.model.rotation import State as Stored
from rotation.model.secret import Schedule, Secret, VersionState

NAME = SecretName("123456789012", "app")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SLOTS = ("app_a", "app_b")
LEASE = timedelta(seconds=600)
SOAK, WATCH = timedelta(hours=1), timedelta(seconds=1)
POLICY = json.dumps(
    {
        "issuer": {"kind": "memory"},
        "soak": "1h",
        "retire": {"observe": "1s", "destroy_after": "2h"},
    }
)

#: How long the canary is watched.
STAGE_SOAK = timedelta(minutes=10)
#: Files of consumers that are pinned to a version by its number.
CANARY, FLEET = 0, 1
STAGED_POLICY = json.dumps(
    {
        **json.loads(POLICY),
        "rollout": [
            {
                "stage": "canary",
                "participants": [{"kind": "pin", "file": CANARY}],
                "gates": [{"kind": "gate"}],
                "soak": "10m",
            },
            {
                "stage": "everyone",
                "participants": [{"kind": "alias"}, {"kind": "pin", "file": FLEET}],
            },
        ],
    }
)

Pairs = tuple[tuple[str, Any], ...]


class Snapshot(NamedTuple):
    """The secret under one ETag."""

    revision: int
    labels: Pairs
    annotations: Pairs
    aliases: Pairs
    schedule: Schedule | None = None

    @property
    def etag(self) -> str:
        """No two writes leave the same one."""
        return f'"{self.revision}"'


class Version(NamedTuple):
    """One version of the secret."""

    payload: bytes
    state: VersionState = VersionState.ENABLED
    changes: int = 0

    @property
    def etag(self) -> str:
        """Moves with every change of the version, not with changes of the secret."""
        return f'"v{self.changes}"'


class Role(NamedTuple):
    """One login role of the database."""

    password: str | None = None
    login: bool = False
    token: int = 0
    revoked: bool = False
    #: A session of a consumer: how many waits it will still outlast; 0 is no session.
    session: int = 0


class Pin(NamedTuple):
    """A version number in a file, and changes of it that are ready to be merged."""

    version: int
    #: To which versions; each rotation has its own.
    drafts: frozenset[int] = frozenset()
    #: When it last changed.
    since: int = 0


class Effect(NamedTuple):
    """Something a worker asks of the world."""

    name: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        shown = {"get": "read the secret", "update": "update the secret", "add": "add a version"}
        match self.name:
            case "mint":
                return f"mint {self.args[0]} (token {self.args[3]})"
            case "suspend" | "restore" | "revoke":
                return f"{self.name} {self.args[0]} (token {self.args[1]})"
            case "access" | "version" | "enable" | "disable" | "destroy":
                return f"{self.name} version {self.args[0]}"
            case "observe":
                return f"observe {self.args[0]}"
            case "verify":
                return f"log in as {credential(self.args[0])[0]}"
            case "prepare" | "hand" | "take back" | "drop" | "look":
                return f"{self.name} {('the canary', 'the fleet')[self.args[0]]}"
        return shown.get(self.name, self.name)


class Failed(NamedTuple):
    """An error as a value."""

    kind: type[RotationError]
    message: str
    more: Pairs = ()

    @classmethod
    def of(cls, error: RotationError) -> Failed:
        """Keep what is needed to raise the same again."""
        if isinstance(error, StaleTokenError):
            return cls(type(error), str(error.args[0]), (("newest", error.newest),))
        more = (("remedy", error.remedy), ("reason", error.reason))
        return cls(type(error), str(error.args[0]), more)

    def error(self) -> RotationError:
        """Return it to be raised."""
        return self.kind(self.message, **dict(self.more))


class Late(NamedTuple):
    """A request whose sender has given up."""

    effect: Effect
    #: Of the delivery whose worker sent it.
    serial: str


class World(NamedTuple):
    """All there is outside the workers."""

    secret: Snapshot
    #: What a stale read shows.
    before: Snapshot
    versions: tuple[Version, ...]
    roles: tuple[Role, Role]
    #: Seconds since `START`.
    clock: int = 0
    #: Requests whose sender has given up, and which may still arrive.
    late: tuple[Late, ...] = ()
    #: Of the canary and of the fleet; none where consumers read aliases only.
    pins: tuple[Pin, ...] = ()
    #: The canary's consumers suffer under the next version.
    failing: bool = False
    #: The fleet's participant refuses every change.
    refusing: bool = False
    #: The observer cannot see who is logged in: for how many waits; 0 it can.
    blind: int = 0

    @property
    def now(self) -> datetime:
        """The time."""
        return START + timedelta(seconds=self.clock)

    @property
    def stored(self) -> Stored:
        """What the secret says about its rotation."""
        return stored_of(self.secret)

    @property
    def pointed(self) -> int | None:
        """The version that ``current`` names."""
        return dict(self.secret.aliases).get("current")

    def opens(self, number: int) -> bool:
        """Whether a consumer can read one version and open a session with it."""
        if not 0 < number <= len(self.versions):
            return False
        version = self.versions[number - 1]
        return version.state is VersionState.ENABLED and self.accepts(version.payload)

    def accepts(self, payload: bytes) -> bool:
        """Whether the database takes a credential."""
        user, password = credential(payload)
        role = self.roles[SLOTS.index(user)]
        return role.login and role.password == password

    def with_secret(self, **changes: Any) -> World:
        """Return the world after a write to the secret."""
        written = self.secret._replace(revision=self.secret.revision + 1, **changes)
        return self._replace(secret=written, before=self.secret)

    def with_role(self, slot: str, role: Role) -> World:
        """Return the world after a change of one role."""
        first, second = self.roles
        return self._replace(roles=(role, second) if slot == SLOTS[0] else (first, role))

    def with_pin(self, file: int, pin: Pin) -> World:
        """Return the world after a change of one pin."""
        pins = (*self.pins[:file], pin, *self.pins[file + 1 :])
        return self._replace(pins=pins)

    def role(self, slot: str) -> Role:
        """Return one role."""
        return self.roles[SLOTS.index(slot)]


#: Effects that change nothing.
READS = frozenset(
    {"get", "access", "version", "connect", "verify", "observe", "look", "gate", "clean up"}
)
#: Changes of a role: the database's lock puts them in order, so a late one is over before the next.
ROLE_CHANGES = frozenset({"mint", "suspend", "restore", "revoke"})


@cache
def credential(payload: bytes) -> tuple[str, str]:
    """Return what a payload is to the database."""
    fields = Payload(payload).fields()
    return fields["username"], fields["password"]


@cache
def secret_of(snapshot: Snapshot) -> Secret:
    """Return a snapshot as the store shows it."""
    return Secret(
        name=NAME,
        etag=snapshot.etag,
        create_time=START - timedelta(days=100),
        labels=dict(snapshot.labels),
        annotations=dict(snapshot.annotations),
        aliases=dict(snapshot.aliases),
        schedule=snapshot.schedule,
    )


@cache
def stored_of(snapshot: Snapshot) -> Stored:
    """Return what a snapshot says about the rotation."""
    secret = secret_of(snapshot)
    return codec.decode(secret, secret.aliases.get("current"))


def pairs(mapping: Mapping[str, Any]) -> Pairs:
    """Return a mapping as a value."""
    return tuple(sorted(mapping.items()))


def carry_out(world: World, effect: Effect) -> tuple[World, Any]:
    """Return the world after an effect, and the answer: a value or `Failed`."""
    try:
        return _EFFECTS[effect.name](world, *effect.args)
    except RotationError as error:
        return world, Failed.of(error)


def _get(world: World) -> tuple[World, Snapshot]:
    return world, world.secret


def _update(
    world: World, etag: str, labels: Pairs, annotations: Pairs, aliases: Pairs
) -> tuple[World, Snapshot]:
    if etag != world.secret.etag:
        raise EtagMismatchError("stale etag")
    world = world.with_secret(labels=labels, annotations=annotations, aliases=aliases)
    return world, world.secret


def _access(world: World, version: int | str) -> tuple[World, tuple[int, bytes]]:
    number = len(world.versions) if version == "latest" else int(version)
    found = _version(world, number)
    if found.state is not VersionState.ENABLED:
        raise VersionUnavailableError(f"version {number} is {found.state.value}")
    return world, (number, found.payload)


def _version(world: World, number: int) -> Version:
    if not 0 < number <= len(world.versions):
        raise NotFoundError(f"Secret Version [{NAME.version(number)}] not found.")
    return world.versions[number - 1]


def _status(world: World, number: int) -> tuple[World, Version]:
    return world, _version(world, number)


def _add(world: World, payload: bytes) -> tuple[World, int]:
    versions = (*world.versions, Version(payload))
    return world._replace(versions=versions), len(versions)


def _set_state(state: VersionState) -> Callable[[World, int, str], tuple[World, None]]:
    def change(world: World, number: int, etag: str) -> tuple[World, None]:
        version = _version(world, number)
        if version.state is VersionState.DESTROYED:
            if state is VersionState.ENABLED:
                raise PermanentError(f"version {number} is destroyed")
            return world, None
        if etag != version.etag:
            raise EtagMismatchError("stale etag")
        changed = Version(version.payload, state, version.changes + 1)
        before, after = world.versions[: number - 1], world.versions[number:]
        return world._replace(versions=(*before, changed, *after)), None

    return change


def _connect(world: World) -> tuple[World, None]:
    return world, None


def _verify(world: World, payload: bytes) -> tuple[World, Verification]:
    if not world.accepts(payload):
        raise CredentialRefusedError(f"login as {credential(payload)[0]} was refused")
    return world, Verification(("memory",), "owner")


def _observe(world: World, slot: str, witness: bytes) -> tuple[World, Observation]:
    if not world.accepts(witness):
        reason = f"login as {credential(witness)[0]} was refused"
        return world, Observation(
            (), is_conclusive=False, nodes=("memory",), unobservable_reason=reason
        )
    if world.blind:
        return world, Observation(
            (), is_conclusive=False, nodes=("memory",), unobservable_reason="no rights"
        )
    session = Session("memory", "10.0.0.7 billing")
    sessions = (session,) if world.role(slot).session else ()
    return world, Observation(sessions, is_conclusive=True, nodes=("memory",))


def fenced(world: World, slot: str, token: int) -> Role:
    """Return a role under a new token.

    Raises:
        StaleTokenError: Either slot has seen a newer one.
    """
    newest = max(role.token for role in world.roles)
    if newest > token:
        raise StaleTokenError(f"token {newest} has been here", newest=newest)
    return world.role(slot)._replace(token=token)


def _mint(world: World, slot: str, payload: bytes, version: int, token: int) -> tuple[World, None]:
    del version
    role = fenced(world, slot, token)
    if role.session:
        raise SlotInUseError(f"a session is on {slot}")
    minted = role._replace(password=credential(payload)[1], login=True, revoked=False)
    return world.with_role(slot, minted), None


def _suspend(world: World, slot: str, token: int) -> tuple[World, None]:
    return world.with_role(slot, fenced(world, slot, token)._replace(login=False)), None


def _restore(world: World, slot: str, token: int) -> tuple[World, None]:
    role = fenced(world, slot, token)
    if role.revoked:
        raise PermanentError(f"{slot} is revoked", reason="slot-revoked")
    return world.with_role(slot, role._replace(login=True)), None


def _revoke(world: World, slot: str, token: int) -> tuple[World, int]:
    role = fenced(world, slot, token)
    revoked = Role(token=token, revoked=True)
    return world.with_role(slot, revoked), int(role.session > 0)


def _prepare(world: World, file: int, previous: int | None, number: int) -> tuple[World, str]:
    pin = world.pins[file]
    if world.refusing and file == FLEET:
        return world, "no"
    if pin.version not in {previous, number}:
        return world, "no"
    return world.with_pin(file, pin._replace(drafts=pin.drafts | {number})), "done"


def _hand(world: World, file: int, number: int) -> tuple[World, str]:
    """Merge what is ready; what was dropped meanwhile cannot be merged any more."""
    pin = world.pins[file]
    if pin.version == number:
        return world, "done"
    if number not in pin.drafts:
        return world, "wait"
    return world.with_pin(file, Pin(number, pin.drafts - {number}, world.clock)), "done"


def _take_back(world: World, file: int, previous: int | None, number: int) -> tuple[World, str]:
    pin = world.pins[file]
    if pin.version == number and previous is not None:
        return world.with_pin(file, Pin(previous, pin.drafts, world.clock)), "done"
    return world.with_pin(file, _without(pin, number)), "done"


def _drop(world: World, file: int, number: int) -> tuple[World, None]:
    return world.with_pin(file, _without(world.pins[file], number)), None


def _without(pin: Pin, number: int) -> Pin:
    return pin._replace(drafts=pin.drafts - {number})


def _look(world: World, file: int) -> tuple[World, int]:
    return world, world.pins[file].version


def _gate(world: World) -> tuple[World, bool]:
    return world, world.failing


def _clean_up(world: World, file: int) -> tuple[World, None]:
    del file
    return world, None


def _publish(world: World, messages: tuple[Pairs, ...]) -> tuple[World, tuple[Pairs, ...]]:
    return world, messages


_EFFECTS: Mapping[str, Callable[..., tuple[World, Any]]] = {
    "get": _get,
    "update": _update,
    "access": _access,
    "version": _status,
    "add": _add,
    "enable": _set_state(VersionState.ENABLED),
    "disable": _set_state(VersionState.DISABLED),
    "destroy": _set_state(VersionState.DESTROYED),
    "connect": _connect,
    "verify": _verify,
    "observe": _observe,
    "mint": _mint,
    "suspend": _suspend,
    "restore": _restore,
    "revoke": _revoke,
    "publish": _publish,
    "prepare": _prepare,
    "hand": _hand,
    "take back": _take_back,
    "drop": _drop,
    "look": _look,
    "gate": _gate,
    "clean up": _clean_up,
}


def new_world(*, first: bool = False, staged: bool = False) -> World:
    """Return a secret at rest.

    Args:
        first: There is no credential yet.
        staged: Consumers are pinned in two files, which move one after the other.
    """
    aliases = {"theirs": 1} if first else {"theirs": 1, "current": 1}
    secret = Snapshot(
        revision=0,
        labels=pairs({"team": "db"}),
        annotations=pairs(
            {"rotation.policy": STAGED_POLICY if staged else POLICY, "theirs": "kept"}
        ),
        aliases=pairs(aliases),
    )
    if first:
        return World(secret, secret, (), (Role(), Role()))
    payload = json.dumps({"username": "app_a", "password": "password-0", "host": "db"}).encode()
    roles = (Role("password-0", login=True), Role())
    pins = (Pin(1), Pin(1)) if staged else ()
    return World(secret, secret, (Version(payload),), roles, pins=pins)
