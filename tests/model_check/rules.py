"""What must hold: while an effect is carried out, at every instant, and at rest.

Each rule is a named function that returns what is wrong, or None.  What one look at the world
cannot show is kept in the `Ledger`.

Rules of this module:
  1. Pure: a ledger and a world in, a sentence out.
  2. A rule says what a consumer, an operator or a stranger to the secret would complain about;
     it knows nothing of the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rotation.machine.rollout import ASK_AGAIN
from rotation.model.phase import Mode, Phase
from rotation.model.secret import VersionState
from rotation.model.wakeup import Ask

from .ledger import Ledger
from .world import CANARY, SLOTS, SOAK, STAGE_SOAK, WATCH, Effect, World, credential

#: Deliveries after which a run that still has work to do counts as endless.
ENDLESS = 60


Broken = tuple[str, ...]
During = Callable[[Ledger, World, Effect, World], str | None]
Rule = Callable[[Ledger, World], str | None]


# -- while an effect is carried out


def only_verified_credentials_are_published(
    ledger: Ledger, before: World, effect: Effect, _: World
) -> str | None:
    """No version is added whose credential no login has proved."""
    if effect.name != "add":
        return None
    proved = {credential(payload) for payload in ledger.verified}
    proved |= {credential(version.payload) for version in before.versions}
    return None if credential(effect.args[0]) in proved else "nobody has logged in with it"


def the_version_in_force_is_never_taken_away(
    _: Ledger, before: World, effect: Effect, __: World
) -> str | None:
    """Neither disabled nor destroyed."""
    taken = effect.name in {"disable", "destroy"} and effect.args[0] == before.pointed
    return str(effect) if taken else None


def the_slot_in_force_is_never_written(
    _: Ledger, before: World, effect: Effect, after: World
) -> str | None:
    """Consumers are on it; giving a login back does no harm."""
    if effect.name not in {"mint", "suspend", "revoke"} or before.pointed is None:
        return None
    user, _password = credential(before.versions[before.pointed - 1].payload)
    written = user == effect.args[0] and before.role(user) != after.role(user)
    return str(effect) if written else None


def a_routine_rotation_throws_nobody_out(
    _: Ledger, before: World, effect: Effect, after: World
) -> str | None:
    """Nothing is revoked while a session is on it."""
    thrown_out = any(
        old.session and not new.session for old, new in zip(before.roles, after.roles, strict=True)
    )
    return str(effect) if thrown_out and _is_routine(before) else None


def nobody_with_a_session_is_locked_out(
    ledger: Ledger, before: World, effect: Effect, _: World
) -> str | None:
    """A routine rotation suspends no login on which the last look has shown a session."""
    locked_out = effect.name == "suspend" and ledger.observed_busy and _is_routine(before)
    return str(effect) if locked_out and not _goes_back(before) else None


def waits_are_kept(ledger: Ledger, before: World, effect: Effect, __: World) -> str | None:
    """A routine rotation suspends after the soak, and revokes after it has watched."""
    record = before.stored.record
    if record is None or not _is_routine(before) or _goes_back(before):
        return None
    waits = {"suspend": (record.published_at, SOAK), "revoke": (record.suspended_at, WATCH)}
    since, wait = waits.get(effect.name, (None, timedelta()))
    early = since is not None and before.now < since + wait
    if any(asked.mode is Ask.RETIRE for asked in ledger.asked):
        return None  # what is not skipped then: `nothing_is_retired_unseen`
    return f"{effect} after {before.now - since}" if early and since else None


def nothing_is_retired_unseen(
    ledger: Ledger, before: World, effect: Effect, after: World
) -> str | None:
    """A routine rotation takes no login away before a look that could see has shown nobody."""
    takes = effect.name in {"suspend", "revoke"} and before.roles != after.roles
    if not takes or ledger.observed_free or not _is_routine(before) or _goes_back(before):
        return None
    return str(effect)


def a_pause_starts_nothing(_: Ledger, before: World, effect: Effect, after: World) -> str | None:
    """No routine rotation begins while the secret says that it is paused."""
    record, last = after.stored.record, before.stored.record
    begins = record is not None and (last is None or last.id != record.id)
    if effect.name != "update" or not begins or not before.stored.paused or record is None:
        return None
    return f"rotation {record.id} begins" if _is_routine(after) else None


def a_pause_takes_nothing_away(
    _: Ledger, before: World, effect: Effect, after: World
) -> str | None:
    """While it lasts no routine rotation turns to taking the previous credential away."""
    old, new = before.stored, after.stored
    if effect.name != "update" or not old.paused or not _is_routine(after):
        return None
    turns = new.phase is not old.phase and new.phase in {Phase.SUSPENDING, Phase.REVOKING}
    return f"from {old.phase.value} to {new.phase.value}" if turns else None


def nothing_readable_is_revoked(
    ledger: Ledger, before: World, effect: Effect, after: World
) -> str | None:
    """A routine rotation revokes a credential when no enabled version carries it any more."""
    if effect.name != "revoke" or not _is_routine(before):
        return None
    dies = before.role(effect.args[0])
    if dies == after.role(effect.args[0]):
        return None
    for number, version in enumerate(before.versions, start=1):
        readable = version.state is VersionState.ENABLED and number not in ledger.theirs
        if readable and credential(version.payload) == (effect.args[0], dies.password):
            return f"version {number} carries it"
    return None


def all_vote_before_anybody_is_handed_next(
    _: Ledger, before: World, __: Effect, after: World
) -> str | None:
    """No consumer moves while a participant of any stage could still refuse."""
    new = _handed(before, after)
    ready = all(new in {pin.version, *pin.drafts} for pin in before.pins)
    return None if new is None or ready else f"version {new} is handed out before all are ready"


def a_stage_proves_itself_before_the_next(
    _: Ledger, before: World, __: Effect, after: World
) -> str | None:
    """In a routine rotation the fleet moves when the canary has been watched."""
    new = _handed(before, after)
    if (
        new is None
        or not _is_routine(before)
        or new == after.pins[CANARY].version != (before.pins[CANARY].version)
    ):
        return None
    canary = before.pins[CANARY]
    watched = before.clock - canary.since >= STAGE_SOAK.total_seconds()
    proven = canary.version == new and watched
    return None if proven else f"version {new} is handed to all; the canary: {canary}"


def no_pin_names_what_is_revoked(
    _: Ledger, before: World, effect: Effect, after: World
) -> str | None:
    """Neither in a routine rotation nor in an emergency, while participants answer."""
    if effect.name != "revoke" or before.roles == after.roles:
        return None
    dead = [pin.version for pin in before.pins if not after.opens(pin.version)]
    return f"a pin names version {dead[0]}" if dead else None


def _handed(before: World, after: World) -> int | None:
    """Return the version that an effect has moved consumers of a staged rollout forward to."""
    record = before.stored.record
    if not before.pins or record is None or record.next is None or _goes_back(before):
        return None
    old = (before.pointed, *(pin.version for pin in before.pins))
    new = (after.pointed, *(pin.version for pin in after.pins))
    moved = [after_ for before_, after_ in zip(old, new, strict=True) if before_ != after_]
    return record.next if record.next in moved else None


def the_token_never_decreases(_: Ledger, before: World, __: Effect, after: World) -> str | None:
    """A fence that goes back lets everybody in."""
    old, new = before.stored.token, after.stored.token
    if new < old:
        return f"from {old} to {new} on the secret"
    for slot, was, now in zip(SLOTS, before.roles, after.roles, strict=True):
        if now.token < was.token:
            return f"from {was.token} to {now.token} on {slot}"
    return None


def _goes_back(world: World) -> bool:
    return world.stored.phase in {Phase.ABORTING, Phase.REVERTING, Phase.WITHDRAWING}


def _is_routine(world: World) -> bool:
    record = world.stored.record
    return record is not None and record.mode is Mode.ROUTINE and record.again is None


# -- at every instant


def consumers_of_current_get_in(_: Ledger, world: World) -> str | None:
    """They never notice anything."""
    pointed = world.pointed
    if pointed is None or world.opens(pointed):
        return None
    return f"version {pointed} does not work"


def consumers_of_latest_get_in(ledger: Ledger, world: World) -> str | None:
    """Neither do they, except while an orphan waits for its clean-up."""
    newest = len(world.versions)
    if world.pointed is None or world.opens(newest) or newest in ledger.orphans | ledger.theirs:
        return None
    return f"version {newest} does not work"


def consumers_of_pins_get_in(_: Ledger, world: World) -> str | None:
    """Whatever their file names works."""
    dead = [pin.version for pin in world.pins if not world.opens(pin.version)]
    return f"version {dead[0]} does not work" if dead else None


def pinned_consumers_have_the_whole_soak(_: Ledger, world: World) -> str | None:
    """Who is pinned to the previous version has until its suspension to move."""
    stored, record = world.stored, world.stored.record
    if record is None or record.previous is None or stored.block:
        return None
    waits = stored.lease_until is None and stored.wake_at is not None
    if stored.phase is Phase.SOAKING or (stored.phase is Phase.SUSPENDING and waits):
        for number in (record.previous, *record.previous_copies):
            if not world.opens(number):
                return f"version {number} does not work while {stored.phase.value}"
    return None


def a_rotation_changes_the_credential(_: Ledger, world: World) -> str | None:
    """What consumers are moved to is another login than what they come from."""
    record = world.stored.record
    if record is None or record.next is None or record.previous is None:
        return None
    numbers = (record.previous, record.next)
    old, new = (credential(world.versions[number - 1].payload)[0] for number in numbers)
    return f"version {record.next} is {old}, too" if old == new else None


def an_emergency_waits_for_nothing(ledger: Ledger, world: World) -> str | None:
    """Once it is acknowledged, no wait begins while what has leaked still works."""
    stored = world.stored
    waits = stored.lease_until is None and stored.wake_at is not None
    if waits and world.pins and stored.wake_at <= world.now + ASK_AGAIN:
        return None  # a participant is asked again soon
    if not waits or any(asked.mode is Ask.REVERT for asked in ledger.asked):
        return None
    for asked in ledger.acknowledged:
        if any(world.accepts(payload) for payload in asked.in_force):
            return f"{stored.phase.value} until {stored.wake_at:%H:%M:%S}"
    return None


def each_request_rotates_at_most_once(ledger: Ledger, _: World) -> str | None:
    """However often it is delivered."""
    wanted = sum(asked.wants_a_rotation for asked in ledger.asked) + ledger.inherited
    if len(ledger.started) > wanted:
        return f"{len(ledger.started)} rotations, {wanted} asked for"
    requests = [request for request, _ in ledger.started if request]
    twice = {request for request in requests if requests.count(request) > 1}
    return f"request {min(twice)} began two rotations" if twice else None


def what_is_not_ours_stays(ledger: Ledger, world: World) -> str | None:
    """Labels, annotations and aliases of others."""
    labels = dict(world.secret.labels)
    kept = (
        labels.get("team") == "db"
        and ("touched" in labels) == ledger.touched
        and dict(world.secret.annotations).get("theirs") == "kept"
        and dict(world.secret.aliases).get("theirs") == 1
    )
    return None if kept else f"{labels} {dict(world.secret.aliases)}"


def a_worker_ends_or_asks_for_a_repeat(ledger: Ledger, _: World) -> str | None:
    """Nothing else comes out of a tick."""
    return ledger.crash or None


# -- at rest


def a_rotation_ends_or_says_why_not(ledger: Ledger, world: World) -> str | None:
    """It is settled, or blocked where somebody has to look."""
    stored = world.stored
    if _gone_back(world):
        return None if world.failing or world.refusing else f"went back: {stored.receipt}"
    if stored.block is not None:
        return None if ledger.may_block else f"blocked: {stored.block.message}"
    if _held(world):
        return None
    return None if stored.phase is Phase.SETTLED else f"rests while {stored.phase.value}"


def labels_are_clean(_: Ledger, world: World) -> str | None:
    """Nothing of a finished rotation is left but its token."""
    kept = {"team", "touched", "rotation_token"}
    kept |= {"rotation_paused"} if world.stored.paused else set()
    left = set(dict(world.secret.labels)) - kept
    return f"left: {sorted(left)}" if left else None


def exactly_one_credential_works(_: Ledger, world: World) -> str | None:
    """The one that consumers are pointed to."""
    open_ = [slot for slot, role in zip(SLOTS, world.roles, strict=True) if role.login]
    pointed = world.pointed
    wanted = [credential(world.versions[pointed - 1].payload)[0]] if pointed else []
    return None if open_ == wanted else f"may log in: {open_}, in force: {wanted}"


def no_orphan_is_enabled(ledger: Ledger, world: World) -> str | None:
    """Every enabled version works and is known: in force, or a copy that the receipt names."""
    numbers = set(range(1, len(world.versions) + 1)) - ledger.theirs
    enabled = {n for n in numbers if world.versions[n - 1].state is VersionState.ENABLED}
    dead = {number for number in enabled if not world.opens(number)}
    if dead:
        return f"enabled and dead: {sorted(dead)}"
    receipt = world.stored.receipt
    known = {world.pointed, *(receipt.copies if receipt else ())}
    return f"nobody knows of: {sorted(enabled - known)}" if enabled - known else None


def orphans_are_gone(ledger: Ledger, world: World) -> str | None:
    """Consumers of latest get in."""
    newest = len(world.versions)
    if world.pointed is None or world.opens(newest) or newest in ledger.theirs:
        return None
    return f"version {newest} does not work"


def no_request_is_lost(ledger: Ledger, world: World) -> str | None:
    """Whoever asked was served by a rotation that was in flight then, or later.

    While it is paused, one request is kept that stands for all.
    """
    pause = world.stored.pause
    if pause is not None and pause.paused and pause.again is not None:
        return None
    return f"never served: {sorted(ledger.unserved)}" if ledger.unserved else None


def the_last_word_about_a_pause_counts(ledger: Ledger, world: World) -> str | None:
    """In whatever order, and however often, they are delivered."""
    words = [a.wake_up for a in ledger.asked if a.mode in {Ask.PAUSE, Ask.RESUME}]
    last = max(words, key=lambda word: word.at, default=None)
    wanted = bool(last and last.request and last.request.mode is Ask.PAUSE)
    return None if world.stored.paused is wanted else f"paused: {world.stored.paused}"


def both_credentials_work_in_a_pause(_: Ledger, world: World) -> str | None:
    """Where a rotation rests, unless the previous one was revoked before."""
    record, phase = world.stored.record, world.stored.phase
    if record is None or phase is Phase.DESTROYING:
        return None
    dead = [n for n in (record.previous, record.next) if n and not world.opens(n)]
    return f"version {dead[0]} does not work while {phase.value}" if dead else None


def leaked_credentials_die(ledger: Ledger, world: World) -> str | None:
    """What was in force when somebody cried emergency works no more, unless somebody reverted."""
    if any(asked.mode is Ask.REVERT for asked in ledger.asked):
        return None
    for asked in ledger.asked:
        alive = [payload for payload in asked.in_force if world.accepts(payload)]
        if asked.mode is Ask.EMERGENCY and alive:
            return f"{credential(alive[0])[0]} still opens a session"
    return None


def everybody_has_the_version_in_force(_: Ledger, world: World) -> str | None:
    """Pins and aliases name the same."""
    others = sorted({pin.version for pin in world.pins} - {world.pointed})
    return f"{others} are pinned, current is {world.pointed}" if others else None


def trouble_moves_everybody_back(ledger: Ledger, world: World) -> str | None:
    """A rollout that was in trouble before it was over has not happened, unless in an emergency."""
    urgent = any(asked.mode is Ask.EMERGENCY for asked in ledger.asked)
    if not ledger.goes_back or urgent or world.pointed == 1:
        return None
    return f"current is {world.pointed}"


def _held(world: World) -> bool:
    """Whether a rotation rests because somebody has paused it."""
    stored = world.stored
    waits = stored.lease_until is None and stored.wake_at is not None
    return stored.paused and stored.phase is not Phase.SETTLED and waits


def _gone_back(world: World) -> bool:
    """Whether the secret is at rest after a rotation that went back by itself."""
    block = world.stored.block
    went_back = block is not None and block.reason == "reverted"
    return went_back and world.stored.phase is Phase.SETTLED


DURING: tuple[During, ...] = (
    only_verified_credentials_are_published,
    the_version_in_force_is_never_taken_away,
    the_slot_in_force_is_never_written,
    a_routine_rotation_throws_nobody_out,
    nobody_with_a_session_is_locked_out,
    waits_are_kept,
    nothing_readable_is_revoked,
    nothing_is_retired_unseen,
    a_pause_starts_nothing,
    a_pause_takes_nothing_away,
    all_vote_before_anybody_is_handed_next,
    a_stage_proves_itself_before_the_next,
    no_pin_names_what_is_revoked,
    the_token_never_decreases,
)
ALWAYS: tuple[Rule, ...] = (
    consumers_of_current_get_in,
    consumers_of_latest_get_in,
    consumers_of_pins_get_in,
    pinned_consumers_have_the_whole_soak,
    a_rotation_changes_the_credential,
    an_emergency_waits_for_nothing,
    each_request_rotates_at_most_once,
    what_is_not_ours_stays,
    a_worker_ends_or_asks_for_a_repeat,
)
#: Also where a rotation has gone back by itself, and a person has to look why.
GONE_BACK: tuple[Rule, ...] = (
    exactly_one_credential_works,
    no_orphan_is_enabled,
    orphans_are_gone,
    everybody_has_the_version_in_force,
    trouble_moves_everybody_back,
)
AT_REST: tuple[Rule, ...] = (
    labels_are_clean,
    *GONE_BACK,
    no_request_is_lost,
    leaked_credentials_die,
    the_last_word_about_a_pause_counts,
)
#: Where a rotation rests because somebody has paused it.
HELD: tuple[Rule, ...] = (
    both_credentials_work_in_a_pause,
    no_request_is_lost,
    leaked_credentials_die,
    the_last_word_about_a_pause_counts,
)


def broken_during(ledger: Ledger, before: World, effect: Effect, after: World) -> Broken:
    """Return which rules an effect broke."""
    found = ((rule, rule(ledger, before, effect, after)) for rule in DURING)
    return tuple(_named(rule, what) for rule, what in found if what)


def broken_now(ledger: Ledger, world: World) -> Broken:
    """Return which rules are broken at this instant."""
    found = ((rule, rule(ledger, world)) for rule in ALWAYS)
    return tuple(_named(rule, what) for rule, what in found if what)


def broken_at_rest(ledger: Ledger, world: World) -> Broken:
    """Return which rules are broken where nothing is owed any more.

    A blocked secret waits for a person: what is left behind is theirs to look at.
    """
    blocked = GONE_BACK if _gone_back(world) else ()
    ended = HELD if _held(world) else AT_REST
    rules = (a_rotation_ends_or_says_why_not, *(blocked if world.stored.block else ended))
    found = ((rule, rule(ledger, world)) for rule in rules)
    return tuple(_named(rule, what) for rule, what in found if what)


def endless(world: World) -> Broken:
    """Return the rule that a run breaks which never comes to rest."""
    return (f"a rotation that can progress ends: it is still {world.stored.phase.value}",)


def _named(rule: Callable[..., Any], what: str) -> str:
    return f"{rule.__name__.replace('_', ' ')}: {what}"
