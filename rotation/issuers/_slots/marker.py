"""Our part of a slot's comment: the durable fence, readable by everybody.

The comment is written in the transaction that changes the password and replicates with it, so it
tells which version a database really holds, also after a failover or a restore.

Rules of this module:
  1. Only the part between ``[rotation`` and ``]`` is ours; foreign text is kept as it is.
  2. No secret: anybody who can log in can read comments on roles.
  3. A part that is ours but unreadable stops the rotation; it is never overwritten.
  4. It names the secret whose slot it is: no other secret changes it.  A part without a name was
     written by hand, or before parts had names; the next change gives it one.
"""

import re
from enum import Enum

from msgspec import Struct

from rotation.model.errors import StateError

_OURS = re.compile(r"\[rotation\b(?P<body>[^\]]*)\]")
_BODY = re.compile(
    r" token=(?P<token>[0-9]{1,18}) version=(?P<version>[0-9]{1,18}) state=(?P<state>[a-z]+)"
    r"(?: secret=(?P<secret>[A-Za-z0-9:._/-]{1,400}))?"
)
#: Longest text of somebody else that is quoted.
_SHOWN = 80


class SlotState(Enum):
    """What the last change made of the slot."""

    MINTED = "minted"
    SUSPENDED = "suspended"
    RESTORED = "restored"
    REVOKED = "revoked"
    #: Nothing was: the sibling was changed, and with that both became the secret's.
    CLAIMED = "claimed"


class Marker(Struct, frozen=True):
    """The last change of one slot."""

    token: int
    #: Number the credential in the slot has, or was expected to get; 0 is unknown.
    version: int
    state: SlotState
    #: Full name of the secret whose slot it is; empty: not known.
    secret: str = ""

    def __str__(self) -> str:
        known = f"token={self.token} version={self.version} state={self.state.value}"
        return f"[rotation {known} secret={self.secret}]" if self.secret else f"[rotation {known}]"


def read(comment: str | None) -> Marker | None:
    """Return our part of ``comment``; None when nothing of ours is there.

    Raises:
        StateError: Our part is there but cannot be read.
    """
    found = _OURS.search(comment or "")
    if found is None:
        return None
    body = _BODY.fullmatch(found["body"])
    if body is None or body["state"] not in {state.value for state in SlotState}:
        raise StateError(
            f"the role comment holds {found[0][:_SHOWN]!r}, which no rotation wrote",
            remedy="find out who did; then remove that part of the comment",
            reason="fence-unreadable",
        )
    state = SlotState(body["state"])
    return Marker(int(body["token"]), int(body["version"]), state, body["secret"] or "")


def write(comment: str | None, marker: Marker) -> str:
    """Return ``comment`` with our part replaced, or added at the end."""
    foreign = _OURS.sub("", comment or "").strip()
    return f"{foreign} {marker}" if foreign else str(marker)


def foreign_text(comment: str | None) -> str:
    """Return what others wrote in ``comment``."""
    return _OURS.sub("", comment or "").strip()
