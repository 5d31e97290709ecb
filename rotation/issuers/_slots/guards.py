"""Refuse slots that are not this secret's to change, or not an application's; refuse late changes.

A policy is written by whoever may write a secret's annotations: that it names a slot proves
nothing.  What is there has to say whose the slot is.

Rules of this module:
  1. A slot that another secret has marked is never changed, nor is its sibling.
  2. A password is set only where both slots become the owner, and none of the three has power over
     others.  A missing slot is made only beside such a sibling.
  3. What was marked for this very secret, it may take out of use and give back whatever became of
     the rest: a leaked credential is never kept alive by a guard.
  4. Two managers of one password fight, each undoes the other's change: who says so is believed.
"""

import re

from rotation.issuers._slots.marker import foreign_text
from rotation.issuers._slots.slot import LockedView, Slot, Words
from rotation.issuers._slots.target import Change
from rotation.model.errors import PermanentError, StaleTokenError

_OTHER_MANAGER = re.compile(
    r"\b(?:managed|rotated|owned)[ _-]?by\W+(?P<who>cloudnative-?pg|cnpg|vault|openbao"
    r"|postgres-operator|zalando|secrets[ _-]?manager|conjur|terraform|cloud[ _-]?sql)\b",
    re.IGNORECASE,
)


def refuse_stale(view: LockedView, token: int) -> None:
    """Return when nobody with a newer token has been here.

    Raises:
        StaleTokenError: Somebody has.
    """
    if view.newest_token > token:
        raise StaleTokenError(
            f"token {token} is older than {view.newest_token}, which changed {view.slot.name} or"
            f" {view.sibling.name}",
            newest=view.newest_token,
        )


def refuse_other_secret(change: Change, secret: str) -> None:
    """Return when no other secret has marked either slot.

    Raises:
        PermanentError: One has.
    """
    both = (change.view.slot, change.view.sibling)
    for slot in both:
        if slot.secret not in {"", secret}:
            asking = secret or "a secret without a name"
            raise PermanentError(
                f"{slot.name} belongs to {slot.secret}, as its comment says; {asking} may change"
                f" neither it nor its sibling",
                remedy=apart(slot.secret, change.statement_to_free(both)),
                reason="slots-taken",
            )


def refuse_managed(slot: Slot) -> None:
    """Return when nobody else is said to rotate the slot.

    Raises:
        PermanentError: Somebody is.
    """
    if manager := other_manager(slot.comment):
        raise PermanentError(
            f"the comment of {slot.name} says that {manager} manages it",
            remedy=f"end that first; then remove the words from the comment of {slot.name}",
            reason="role-not-ours",
        )


def refuse_unfit(change: Change, words: Words) -> None:
    """Return when a password may be set on the slot: the first rule for it is the second above.

    Raises:
        PermanentError: It may not.
    """
    view = change.view
    # The owner first: what it may, its slots may become.
    for identity in (view.owner, view.slot, view.sibling):
        refuse_powerful(identity, words)
    for slot in (view.slot, view.sibling):
        if slot.exists and not slot.becomes_owner:
            raise _not_joined(change, slot)
    if not (view.slot.exists or view.sibling.exists):
        raise PermanentError(
            f"neither {view.slot.name} nor {view.sibling.name} exists: what is made here is made"
            " like its sibling",
            remedy=change.statement_to_create(),
            reason="role-missing",
        )


def refuse_unknown(change: Change, secret: str, words: Words) -> None:
    """Return when the slot may be taken out of use and given back.

    Raises:
        PermanentError: Neither a mark nor the owner says that it is one of ours.
    """
    slot = change.view.slot
    if slot.secret and slot.secret == secret:
        return
    refuse_powerful(slot, words)
    if slot.exists and slot.marker is None and not slot.becomes_owner:
        raise _not_joined(change, slot)


def refuse_powerful(identity: Slot, words: Words) -> None:
    """Return when the identity is an application's.

    Raises:
        PermanentError: It has power over others.
    """
    if identity.power:
        raise PermanentError(
            f"{identity.name} {identity.power} and is never rotated here",
            remedy=f"use {words.identity}s without special rights as slots and owner",
            reason="role-not-ours",
        )


def apart(other: str, statement: str) -> str:
    """Return the remedy for slots that another secret has marked."""
    return (
        f"give every secret slots of its own; if {other} is gone, or was moved here, and nobody"
        f" rotates them by it: {statement}"
    )


def _not_joined(change: Change, slot: Slot) -> PermanentError:
    owner = change.view.owner.name
    return PermanentError(
        f"{slot.name} does not become {owner} when it logs in, so nothing shows that it is a slot"
        f" of {owner}",
        remedy=change.statement_to_join(slot.name),
        reason="wrong-identity",
    )


def other_manager(comment: str | None) -> str:
    """Return who else manages the slot, by its comment; empty when nobody."""
    found = _OTHER_MANAGER.search(foreign_text(comment))
    return found["who"] if found else ""
