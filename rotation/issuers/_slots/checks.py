"""The preflight checks that all systems with two slots share; each is given a `Survey`."""

import time
from collections.abc import Iterator

from rotation.issuers._slots.guards import apart, other_manager
from rotation.issuers._slots.marker import foreign_text
from rotation.issuers._slots.target import Survey
from rotation.kit.findings import bad, fine, untested, warn
from rotation.model.plugin import Finding

#: Seconds that clocks may differ.
MOST_SKEW = 30.0


def change_right(survey: Survey) -> Iterator[Finding]:
    """Whether both slots exist, and the rotator may change them."""
    for slot in survey.slots():
        if not slot.exists:
            yield warn(
                "change-right",
                f"{slot.name} does not exist; the next rotation into it creates it if it may",
                survey.create_slot(slot.name),
            )
        elif refusal := survey.refusal(slot.name):
            message = f"{survey.rotator} may not change {slot.name} ({refusal})"
            yield bad("change-right", message, survey.let_change())
        else:
            yield fine("change-right", f"{survey.rotator} may change {slot.name}")


def fence_marker(survey: Survey) -> Iterator[Finding]:
    """Whether the comments are free or ours, and not ahead of the secret."""
    token = survey.preflight.token
    for slot in survey.slots():
        mark = slot.marker
        if mark and mark.secret and survey.preflight.secret not in {"", mark.secret}:
            yield bad(
                "fence-marker",
                f"{slot.name} belongs to {mark.secret}, not to {survey.preflight.secret}",
                apart(mark.secret, survey.free_slots()),
            )
        elif mark and token is not None and mark.token > token:
            yield bad(
                "fence-marker",
                f"{slot.name} has seen token {mark.token}, the secret only {token}",
                f"another secret or deployment rotates this {survey.words.identity}, or the secret"
                " was made anew: find out which; then raise the label rotation_token of the secret"
                " above it",
            )
        elif mark:
            message = f"{slot.name} holds token {mark.token}, version {mark.version}"
            yield fine("fence-marker", message)
        elif foreign_text(slot.comment):
            yield fine("fence-marker", f"the comment of {slot.name} is somebody's, and is kept")
        elif slot.exists:
            yield fine("fence-marker", f"the comment of {slot.name} is empty")


def foreign_slots(survey: Survey) -> Iterator[Finding]:
    """Yield slots that administer the system, or whose passwords somebody else sets, too."""
    for slot in survey.slots():
        if slot.power:
            remedy = f"use {survey.words.identity}s without special rights as slots"
            yield bad("other-manager", f"{slot.name} {slot.power}", remedy)
        if manager := other_manager(slot.comment):
            message = f"{manager} manages {slot.name}"
            yield bad("other-manager", message, f"end that for {slot.name}")


def observer(survey: Survey) -> Iterator[Finding]:
    """Whether the rotator sees sessions in full: proved with one planted on every node."""
    login = survey.preflight.login
    if login is None:
        yield untested("observer")
        return
    user, password = login
    sibling = next(slot.name for slot in survey.slots() if slot.name != user)
    observed = survey.preflight.observe(sibling, user, password)
    if observed.is_conclusive:
        yield fine("observer", f"a planted session was seen on {', '.join(observed.nodes)}")
    else:
        yield bad("observer", observed.unobservable_reason, survey.let_see())


def end_right(survey: Survey) -> Iterator[Finding]:
    """Whether the rotator may end sessions of a revoked slot."""
    if survey.may_end_sessions():
        yield fine("end-sessions", f"{survey.rotator} may end sessions")
    else:
        yield bad(
            "end-sessions",
            f"{survey.rotator} may not end sessions: a revoked credential would live on in them",
            survey.let_end(),
        )


def parity(survey: Survey) -> Iterator[Finding]:
    """Whether both slots have the same of everything: a consumer must not notice which it is on."""
    first, second = (slot.name for slot in survey.slots())
    traits = {slot: survey.traits(slot) for slot in (first, second)}
    if not all(traits.values()):
        yield warn("slot-parity", "not compared: a slot does not exist yet")
        return
    missing = [
        (slot, *trait, remedy)
        for slot, sibling in ((second, first), (first, second))
        for trait, remedy in traits[sibling].items()
        if trait not in traits[slot]
    ]
    for slot, aspect, thing, remedy in missing:
        yield bad("slot-parity", f"{slot} lacks the {aspect} {thing} of its sibling", remedy)
    if not missing:
        yield fine("slot-parity", "both slots have the same memberships, settings and privileges")


def clock(survey: Survey) -> Iterator[Finding]:
    """Whether the server's clock agrees with ours."""
    before = time.time()
    theirs = survey.clock()
    after = time.time()
    ahead = theirs - min(max(theirs, before), after)
    if abs(ahead) > MOST_SKEW:
        way = "ahead of" if ahead > 0 else "behind"
        yield warn(
            "clock",
            f"the server's clock is {abs(ahead):.0f} s {way} this machine's",
            "run on whichever is wrong: chronyc makestep",
        )
    else:
        yield fine("clock", "the server's clock agrees with ours")
