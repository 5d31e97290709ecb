"""What must hold at every instant of a run, and what must hold once it is quiet.

Each rule is a named function that returns what is wrong, or None.  `Watch` remembers what a single
look cannot show: who was verified, who was asked, which rotations there were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from rotation.model.payload import Payload
from rotation.model.phase import Mode, Phase
from rotation.model.wakeup import Ask, WakeUp, WakeUpKind
from tests.unit.engine.world import START

from .world import World, credential

Rule = Callable[["Watch"], str | None]


@dataclass
class Asked:
    """A rotation somebody asked for, and what was in force then."""

    wake_up: WakeUp
    in_force: list[Payload]


@dataclass
class Watch:
    """What was seen so far in one run."""

    world: World
    wrong: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    #: Ids of the rotations that each request started.
    started: dict[str, set[str]] = field(default_factory=dict)
    #: Versions added by a worker that had lost its hold, or left from before.
    strays: set[int] = field(default_factory=set)
    token: int = 0
    may_block: bool = False
    touched: bool = False
    #: Whether a rotation was in flight at the last look, and until when one was known to be.
    flying: bool = False
    flying_at_start: bool = False
    flew_until: datetime = START

    def __post_init__(self) -> None:
        world = self.world
        world.store.on_added = self.version_added
        world.store.on_state = self.version_changed
        world.issuer.on_role = staticmethod(self.slot_changed)
        world.net.changed = lambda _: self.look()

    def say(self, rule: str, what: str) -> None:
        """Note that a rule is broken."""
        self.wrong.append(f"{rule}: {what}")

    def look(self) -> None:
        """Check what must hold at every instant."""
        record = self.world.state.record
        if self.flying:
            self.flew_until = self.world.clock.time
        self.flying = record is not None
        if record is not None:
            self.started.setdefault(record.request_id, set()).add(record.id)
        self._check(ALWAYS)
        self.token = max(self.token, self.world.state.token)

    def look_at_rest(self) -> None:
        """Check what must hold once nothing is owed any more."""
        self._check(ALWAYS)
        self._check(AT_REST)

    def version_added(self, number: int, payload: Payload) -> None:
        """Rule: no version is added whose credential no login has proved."""
        if credential(payload) not in self.world.issuer.verified:
            self.say("only verified credentials are published", f"version {number}")
        if not self.world.accepts(payload) or not self._wanted(payload):
            self.strays.add(number)

    def _wanted(self, payload: Payload) -> bool:
        """Whether it may be added now: what the rotation in flight mints, or a copy in force."""
        state = self.world.state
        if state.record and state.phase is Phase.PREPARING:
            return payload.rotation_id() == state.record.id
        pointed = self.world.store.secret.aliases.get("current", 0)
        if pointed not in self.world.store.versions:
            return False
        return credential(payload) == credential(self.world.store.versions[pointed][0])

    def version_changed(self, call: str, number: int) -> None:
        """Rule: the version consumers are pointed to is never taken away."""
        pointed = self.world.store.secret.aliases.get("current")
        if call != "enable" and number == pointed:
            self.say("the version in force is never taken away", f"{call} {number}")

    def slot_changed(self, effect: str, slot: str) -> None:
        """Rules: the slot in force is never written; a routine rotation throws nobody out."""
        record = self.world.state.record
        if effect == "throw out":
            if record and record.mode is Mode.ROUTINE and record.again is None:
                self.say("a routine rotation throws nobody out", slot)
            return
        pointed = self.world.store.secret.aliases.get("current")
        if effect == "restore" or pointed is None:
            return
        payload, _ = self.world.store.versions[pointed]
        if payload.fields()["username"] == slot:
            self.say("the slot in force is never written", f"{effect} {slot}")

    def _check(self, rules: tuple[Rule, ...]) -> None:
        for rule in rules:
            what = rule(self)
            if what is not None:
                self.say(rule.__name__.replace("_", " "), what)


def current_opens_a_session(watch: Watch) -> str | None:
    """Consumers of the alias never notice anything."""
    pointed = watch.world.store.secret.aliases.get("current")
    if pointed is None or watch.world.opens(pointed):
        return None
    return f"version {pointed} does not work"


def latest_opens_a_session(watch: Watch) -> str | None:
    """Consumers of latest neither, except while a stray waits for its clean-up."""
    newest = watch.world.newest
    if "current" not in watch.world.store.secret.aliases:
        return None
    if newest in watch.strays or watch.world.opens(newest):
        return None
    return f"version {newest} does not work"


def previous_works_while_it_soaks(watch: Watch) -> str | None:
    """Who is pinned to the previous version has the whole soak to move."""
    state = watch.world.state
    record = state.record
    if record is None or record.previous is None or state.block:
        return None
    waits = state.lease_until is None and state.wake_at is not None
    if state.phase is Phase.SOAKING or (state.phase is Phase.SUSPENDING and waits):
        for number in (record.previous, *record.previous_copies):
            if not watch.world.opens(number):
                return f"version {number} does not work while {state.phase.value}"
    return None


def one_request_rotates_at_most_once(watch: Watch) -> str | None:
    """However often it is delivered."""
    ids = {each for ids in watch.started.values() for each in ids}
    if len(ids) > len(watch.asked) + watch.flying_at_start:
        return f"{len(ids)} rotations, {len(watch.asked)} asked for"
    twice = [key for key, ids in watch.started.items() if key and len(ids) > 1]
    return f"request {twice[0]} started {sorted(watch.started[twice[0]])}" if twice else None


def token_never_decreases(watch: Watch) -> str | None:
    """A fence that goes back lets everybody in."""
    token = watch.world.state.token
    return f"from {watch.token} to {token}" if token < watch.token else None


def foreign_things_stay(watch: Watch) -> str | None:
    """Labels, annotations and aliases of others."""
    secret = watch.world.store.secret
    kept = (
        secret.labels.get("team") == "db"
        and secret.annotations.get("theirs") == "kept"
        and secret.aliases.get("theirs") == 1
        and ("touched" in secret.labels) == watch.touched
    )
    return None if kept else f"{dict(secret.labels)} {dict(secret.aliases)}"


def settled_or_explained(watch: Watch) -> str | None:
    """A rotation ends, or says why a person must look."""
    state = watch.world.state
    if state.block is not None:
        return None if watch.may_block else f"blocked: {state.block.message}"
    return None if state.phase is Phase.SETTLED else f"rests while {state.phase.value}"


def labels_are_clean(watch: Watch) -> str | None:
    """Nothing of a finished rotation is left but its token."""
    if watch.world.state.block or watch.world.state.phase is not Phase.SETTLED:
        return None
    left = set(watch.world.store.secret.labels) - {"team", "touched", "rotation_token"}
    return f"left: {sorted(left)}" if left else None


def one_credential_is_in_force(watch: Watch) -> str | None:
    """Exactly the slot of the current version can log in."""
    if watch.world.state.block:
        return None
    roles = watch.world.issuer.roles
    open_ = sorted(name for name, role in roles.items() if role.login)
    pointed = watch.world.store.secret.aliases.get("current")
    if pointed is None:
        return f"open: {open_}" if open_ else None
    wanted = [watch.world.store.versions[pointed][0].fields()["username"]]
    return None if open_ == wanted else f"open: {open_}, in force: {wanted}"


def no_dead_version_is_enabled(watch: Watch) -> str | None:
    """Every enabled version opens a session."""
    if watch.world.state.block:
        return None
    dead = [number for number in watch.world.ours() if not watch.world.opens(number)]
    return f"enabled and dead: {dead}" if dead else None


def latest_opens_a_session_at_rest(watch: Watch) -> str | None:
    """Strays are gone by now."""
    newest = watch.world.newest
    if watch.world.state.block or watch.world.state.current is None:
        return None
    return None if watch.world.opens(newest) else f"version {newest} does not work"


def no_request_is_lost(watch: Watch) -> str | None:
    """Whoever asked was served by a rotation that was in flight then, or later."""
    if watch.world.state.block:
        return None
    for asked in watch.asked:
        request = asked.wake_up.request
        wants = asked.wake_up.kind is WakeUpKind.ROTATE or (
            request is not None and request.mode in {Ask.ROUTINE, Ask.EMERGENCY}
        )
        if wants and watch.flew_until < asked.wake_up.at:
            return f"{asked.wake_up.message_id} of {asked.wake_up.at:%H:%M:%S} was never served"
    return None


def leaked_credentials_die(watch: Watch) -> str | None:
    """What was in force when somebody cried emergency works no more, unless somebody reverted."""
    modes = [each.wake_up.request.mode for each in watch.asked if each.wake_up.request]
    if watch.world.state.block or Ask.REVERT in modes:
        return None
    for asked in watch.asked:
        request = asked.wake_up.request
        if request and request.mode is Ask.EMERGENCY:
            alive = [payload for payload in asked.in_force if watch.world.accepts(payload)]
            if alive:
                return f"{alive[0].fields()['username']} still opens a session"
    return None


ALWAYS: tuple[Rule, ...] = (
    current_opens_a_session,
    latest_opens_a_session,
    previous_works_while_it_soaks,
    one_request_rotates_at_most_once,
    token_never_decreases,
    foreign_things_stay,
)
AT_REST: tuple[Rule, ...] = (
    settled_or_explained,
    labels_are_clean,
    one_credential_is_in_force,
    no_dead_version_is_enabled,
    latest_opens_a_session_at_rest,
    no_request_is_lost,
    leaked_credentials_die,
)
