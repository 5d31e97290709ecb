"""Refuse slots that somebody else looks after, or that are not an application's; refuse late ones.

Two managers of one password fight: each undoes the other's change, and consumers lose.
"""

import re

from rotation.issuers._slots.marker import foreign_text
from rotation.issuers._slots.slot import LockedView, Slot, Words
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


def refuse_foreign(slot: Slot, words: Words) -> None:
    """Return when the slot is an application's that nobody else rotates.

    Raises:
        PermanentError: It is not.
    """
    if slot.is_powerful:
        raise PermanentError(
            f"{slot.name} is {words.powerful} and is never rotated here",
            remedy=f"use login {words.identity}s without special attributes as slots",
            reason="role-not-ours",
        )
    if manager := other_manager(slot.comment):
        raise PermanentError(
            f"the comment of {slot.name} says that {manager} manages it",
            remedy=f"end that first; then remove the words from the comment of {slot.name}",
            reason="role-not-ours",
        )


def other_manager(comment: str | None) -> str:
    """Return who else manages the slot, by its comment; empty when nobody."""
    found = _OTHER_MANAGER.search(foreign_text(comment))
    return found["who"] if found else ""
