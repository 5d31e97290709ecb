"""Decide what is recorded of a secret whose record was not ours: what is really there, and no more.

Nobody knows how far the rotation in flight had come, so it is given up.  What consumers are pointed
to is in force; what else is enabled stays as it is.

Rules of this module:
  1. No I/O: what was looked at arrives as an argument.
  2. Nothing of the foreign record is kept; of the receipts the chain goes on, unbelieved.
  3. It is a receipt like any other, so that what was done here can be audited.
"""

from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from rotation.machine import receipts
from rotation.machine.transitions import Claim
from rotation.model.phase import Mode
from rotation.model.rotation import Receipt, State
from rotation.model.version import VERSION
from rotation.model.wakeup import Ask, Request

#: ``outcome`` of the receipt.
RECOVERED = "recovered"

#: Requests that have a record that is not ours looked through: both are asked by people.
REQUESTS = frozenset({Ask.UNBLOCK, Ask.EMERGENCY})

#: No token of ours comes near; one above was written by somebody else.
_HIGHEST_TOKEN = 10**12


class Found(Struct, frozen=True):
    """What a look has shown."""

    #: Full name of the secret.
    secret: str
    #: The version that consumers are pointed to, and which of the issuer's handles it is.
    current: int
    handle: str
    digest: str
    #: Highest version number there is.
    highest: int
    #: Enabled versions that carry the same credential.
    copies: tuple[int, ...] = ()
    #: Other enabled versions above it.
    others: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        kept = f"; enabled beside it: {', '.join(map(str, self.others))}" if self.others else ""
        return f"version {self.current} is what consumers are pointed to, {self.handle}{kept}"


def recovered(foreign: State, found: Found, request: Request, claim: Claim) -> State:
    """Return the settled state to store.

    Args:
        foreign: What the secret says.
        found: What was looked at.
        request: Who asked.
        claim: Now, and the message.
    """
    last, now = foreign.receipt, claim.now
    token = foreign.token + 1 if foreign.token < _HIGHEST_TOKEN else 1
    begun = min(last.started_at, now) if last else now
    tag = blake2b(found.secret.encode(), digest_size=2).hexdigest()
    receipt = Receipt(
        id=f"{now:%Y%m%dt%H%M%S}-{tag}-{token}",
        mode=Mode.ROUTINE,
        # Routine requests that came meanwhile are still to be served.
        started_at=begun,
        handle=found.handle,
        reason=request.reason,
        requested_by=request.requested_by,
        request_id=request.id,
        requested_at=request.at,
        digest=found.digest,
        scheduled=last.scheduled if last else None,
        evidence=(found.sentence,),
        secret=found.secret,
        outcome=RECOVERED,
        settled_at=now,
        current=found.current,
        last=found.highest,
        copies=found.copies,
        why="the record in flight was not this deployment's; it was given up",
        sequence=last.sequence + 1 if last else 1,
        before=receipts.digest(last) if last else "",
        message_id=claim.message_id,
        token=token,
        software=VERSION,
    )
    pause = foreign.pause
    if pause is not None and pause.again is not None and pause.again.mode is not Ask.ROUTINE:
        pause = replace(pause, again=None)
    return State(
        token=token,
        receipt=receipt,
        history=receipts.history(last, foreign.history),
        pause=pause,
        current=found.current,
        aliases=foreign.aliases,
    )
