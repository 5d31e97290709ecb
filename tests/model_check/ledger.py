"""What was seen so far on one path, where one look at the world cannot show it.

Who was verified, who asked for what, which rotations there were, who holds the lease in truth.
A value like the world: `follow` returns the ledger after an effect.
"""

from __future__ import annotations

from typing import NamedTuple

from rotation.model.payload import Payload
from rotation.model.phase import Phase
from rotation.model.wakeup import Ask, WakeUp, WakeUpKind

from .world import Effect, World, credential


class Asked(NamedTuple):
    """Something somebody asked for, and the credentials in force then."""

    wake_up: WakeUp
    in_force: tuple[bytes, ...]

    @property
    def mode(self) -> Ask | None:
        """What was asked; a firing asks for a routine rotation."""
        if self.wake_up.kind is WakeUpKind.ROTATE:
            return Ask.ROUTINE
        return self.wake_up.request.mode if self.wake_up.request else None

    @property
    def wants_a_rotation(self) -> bool:
        """Whether a rotation has to follow."""
        return self.mode in {Ask.ROUTINE, Ask.EMERGENCY}


class Ledger(NamedTuple):
    """What was seen so far on one path."""

    #: Payloads a login has proved, and that are not a version yet.
    verified: frozenset[bytes] = frozenset()
    asked: tuple[Asked, ...] = ()
    #: Who asked for a rotation that no rotation has been in flight for since.
    unserved: frozenset[str] = frozenset()
    #: Request and id of each rotation that began.
    started: frozenset[tuple[str, str]] = frozenset()
    #: Versions added by a worker that had lost its hold, or left from before.
    orphans: frozenset[int] = frozenset()
    #: Versions that a person added; what becomes of them is theirs to look after.
    theirs: frozenset[int] = frozenset()
    #: Delivery whose worker raised the token last.
    holder: str = ""
    touched: bool = False
    #: A rotation was in flight at the start; nobody was seen to ask for it.
    inherited: bool = False
    may_block: bool = False
    #: The last look at a slot showed a session on it.
    observed_busy: bool = False
    #: A look that could see has shown nobody on the slot, since this rotation began.
    observed_free: bool = False
    #: Emergencies whose message was acknowledged.
    acknowledged: frozenset[Asked] = frozenset()
    #: The rollout was in trouble before it was over, and somebody still had to look.
    goes_back: bool = False
    #: How the tick that ended last ended, when it should not have ended so.
    crash: str = ""


def follow(ledger: Ledger, before: World, effect: Effect, after: World, serial: str) -> Ledger:
    """Return the ledger after a worker's effect succeeded."""
    match effect.name:
        case "verify" if all(effect.args[0] != version.payload for version in after.versions):
            return ledger._replace(verified=ledger.verified | {effect.args[0]})
        case "add":
            ledger = ledger._replace(verified=ledger.verified - {effect.args[0]})
            if serial != ledger.holder or not _is_wanted(before, effect.args[0]):
                return ledger._replace(orphans=ledger.orphans | {len(after.versions)})
        case "observe":
            busy = after.role(effect.args[0]).session > 0
            sees = not after.blind and after.accepts(effect.args[1])
            free = ledger.observed_free or (sees and not busy)
            return ledger._replace(observed_busy=busy, observed_free=free)
        case "update":
            if after.stored.token > before.stored.token:
                ledger = ledger._replace(holder=serial)
            return _written(ledger, before, after)
    return ledger


def _written(ledger: Ledger, before: World, after: World) -> Ledger:
    record, last = after.stored.record, before.stored.record
    if record is not None and (last is None or last.id != record.id):
        ledger = ledger._replace(observed_free=False)
    if record is not None:
        ledger = ledger._replace(started=ledger.started | {(record.request_id, record.id)})
    if record is None and last is None:
        return ledger
    return ledger._replace(unserved=frozenset())


def _is_wanted(world: World, payload: bytes) -> bool:
    """Whether it may be added now: what the rotation in flight mints, or a copy in force."""
    stored = world.stored
    if not world.accepts(payload):
        return False
    if stored.record and stored.phase is Phase.PREPARING:
        return Payload(payload).rotation_id() == stored.record.id
    pointed = world.pointed or 0
    if not 0 < pointed <= len(world.versions):
        return False
    return credential(payload) == credential(world.versions[pointed - 1].payload)


def asked_now(world: World) -> tuple[bytes, ...]:
    """Return the credentials in force."""
    stored = world.stored
    numbers = {world.pointed, stored.record.previous if stored.record else None}
    return tuple(world.versions[number - 1].payload for number in sorted(n for n in numbers if n))
