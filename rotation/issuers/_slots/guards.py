"""Refuse roles that somebody else looks after, or that are not an application's.

Two managers of one password fight: each undoes the other's change, and consumers lose.
"""

import re

from rotation.issuers._slots.marker import foreign_text
from rotation.issuers._slots.target import Slot
from rotation.model.errors import PermanentError

_OTHER_MANAGER = re.compile(
    r"\b(?:managed|rotated|owned)[ _-]?by\W+(?P<who>cloudnative-?pg|cnpg|vault|openbao"
    r"|postgres-operator|zalando|secrets[ _-]?manager|conjur|terraform|cloud[ _-]?sql)\b",
    re.IGNORECASE,
)


def refuse_foreign(role: Slot) -> None:
    """Return when the role is an application's that nobody else rotates.

    Raises:
        PermanentError: It is not.
    """
    if role.is_powerful:
        raise PermanentError(
            f"{role.name} is a superuser or replication role and is never rotated here",
            remedy="use login roles without special attributes as slots",
            reason="role-not-ours",
        )
    if manager := other_manager(role.comment):
        raise PermanentError(
            f"the comment of {role.name} says that {manager} manages it",
            remedy=f"end that first; then remove the words from the comment of {role.name}",
            reason="role-not-ours",
        )


def other_manager(comment: str | None) -> str:
    """Return who else manages the role, by its comment; empty when nobody."""
    found = _OTHER_MANAGER.search(foreign_text(comment))
    return found["who"] if found else ""
