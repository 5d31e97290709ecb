"""Everything stored about the rotation of one secret.

`State` is what the labels and annotations mean; `rotation.engine.codec` reads and writes it.
Rules of this module:
  1. All records are frozen; a change makes a new record.
  2. Times are aware, in UTC, whole seconds.
  3. No record ever holds a payload.
"""

from datetime import datetime

from msgspec import Struct, field

from rotation.model.phase import Mode, Phase
from rotation.model.plugin import Verification
from rotation.model.wakeup import Ask, Request


class RotationFacts(Struct, frozen=True, kw_only=True):
    """What is known of one rotation: while it is in flight, and in its receipt."""

    id: str
    mode: Mode
    started_at: datetime
    #: Which of the issuer's identities or keys *next* is.
    handle: str = ""
    reason: str = ""
    requested_by: str = ""
    request_id: str = ""
    #: When the request was published; for a scheduled rotation, the message.
    requested_at: datetime | None = None
    #: SHA-256 of the payload added.
    digest: str = ""
    published_at: datetime | None = None
    suspended_at: datetime | None = None
    revoked_at: datetime | None = None
    #: What retirement rests on, for people: one sentence per look.
    evidence: tuple[str, ...] = ()
    #: Next firing of the schedule as last read: by it a missed firing is recognised.
    scheduled: datetime | None = None
    #: Full name of the secret.
    secret: str = ""
    #: What the login proved before *next* was added.
    verified: Verification | None = None
    #: SHA-256 of the policy that *next* was made by.
    policy_digest: str = ""
    #: When the first consumers, those of the first stage, had been handed *next*.
    first_moved_at: datetime | None = None
    #: When the rollout was over: from then on only the previous credential is left to be retired.
    rolled_out_at: datetime | None = None


class Record(RotationFacts, frozen=True, kw_only=True):
    """The rotation in flight."""

    #: Message whose delivery holds the lease; its redelivery must not be acknowledged early.
    message_id: str
    #: Kind of the issuer that *next* was minted by: no other can end what this rotation ends.
    issuer: str = ""
    #: Highest version number known when the rotation started; ours comes after it.
    base: int
    #: Version that was current at the start; None when this is the first credential.
    previous: int | None = None
    #: Further versions that carry the previous credential.
    previous_copies: tuple[int, ...] = ()
    #: Which of the issuer's identities or keys *previous* is; empty where there is none.
    previous_handle: str = ""
    #: The version this rotation added; None until it is published.
    next: int | None = None
    #: Highest version number since the rotation started.
    highest: int = 0
    #: Enabled versions, beside the one in force, that carry its credential.
    copies: tuple[int, ...] = ()
    #: Why it waits, for people.
    note: str = ""
    #: A request that came too late for this rotation; served as soon as it has settled.
    again: Request | None = None
    #: Ids of other requests that this rotation serves; the latest few.
    serves: tuple[str, ...] = ()
    #: Why it went back, when it did.
    reverted: str = ""
    #: It went back by itself: the secret stays blocked until a person has looked.
    alarm: bool = False
    #: Name of the last stage whose consumers were handed *next*; empty: none was.
    stage: str = ""
    #: When participants began to be asked for what they are asked for now.
    asked_at: datetime | None = None
    #: Participants that have done what they are asked for now.
    acked: tuple[str, ...] = ()
    #: Participants that could not be asked to prepare before an emergency went on without them.
    unready: tuple[str, ...] = ()
    #: When all participants of the stage had handed *next* out.
    handed_at: datetime | None = None
    #: Gates are looked at until then, although the rollout is over.
    watch_until: datetime | None = None
    #: Where people can look: pull requests and the like.
    links: tuple[str, ...] = ()
    #: Somebody asked to retire without waiting.  Ends with the first look that finds an obstacle.
    skip_waits: bool = False
    #: How often in a row it was left to another delivery.
    failures: int = 0

    @property
    def urgent(self) -> bool:
        """Whether nothing is waited for that is not needed: an emergency, here or next."""
        after = self.again is not None and self.again.mode is Ask.EMERGENCY
        return self.mode is Mode.EMERGENCY or after


class Receipt(RotationFacts, frozen=True, kw_only=True):
    """What the last rotation did, and what is in force since."""

    #: ``rotated``, ``aborted`` or ``reverted``.
    outcome: str
    settled_at: datetime
    #: Version in force.
    current: int | None
    #: Highest version number known.
    last: int
    #: Further enabled versions that carry the current credential.
    copies: tuple[int, ...] = ()
    previous: int | None = None
    #: Why it went back, when it did.
    why: str = ""
    #: Emergencies asked for up to this moment have been served.
    emergencies_until: datetime | None = None
    #: Id of the last emergency that was served; it may be published again with a later time.
    emergency_id: str = ""
    #: Number of this receipt: one more than the receipt before it.  0: from before they counted.
    sequence: int = 0
    #: Digest of the receipt before it; empty: there was none.
    before: str = ""
    #: Message whose delivery settled the rotation.
    message_id: str = ""
    #: Fencing token under which it settled.
    token: int = 0
    #: Release of this product.
    software: str = ""
    #: When the emergency was asked for that this rotation was, or that overtook it.
    emergency_at: datetime | None = None
    #: When the credential in force was published; None: not known.
    in_force_since: datetime | None = None
    #: Id of a key, a colon, and its signature over the digest in base64; empty: nobody signed.
    signature: str = ""


class Brief(Struct, frozen=True):
    """What is kept of a receipt that is not the last one any more."""

    sequence: int
    digest: str
    id: str
    outcome: str
    mode: Mode
    settled_at: datetime
    current: int | None = None
    requested_at: datetime | None = None
    revoked_at: datetime | None = None
    signature: str = ""


class Block(Struct, frozen=True):
    """Why a person must look."""

    #: Slug, the value of the label.
    reason: str
    #: What is wrong and what mends it, one sentence each.
    message: str
    since: datetime


class Pause(Struct, frozen=True):
    """What people asked for last: whether routine rotations go on.

    It stays when the pause is over, so that a request that comes late is known to be older.
    """

    paused: bool
    #: When the request was published.
    at: datetime
    #: When the pause began; None: not paused, or nobody knows.
    since: datetime | None = None
    reason: str = ""
    requested_by: str = ""
    #: Ids of the last few requests.
    request_ids: tuple[str, ...] = ()
    #: The newest request for a routine rotation that is kept until the pause is over.
    again: Request | None = None


class State(Struct, frozen=True):
    """What the labels, annotations and aliases of one secret say about its rotation."""

    phase: Phase = Phase.SETTLED
    token: int = 0
    #: Another worker may take over from this moment on.
    lease_until: datetime | None = None
    #: When the present wait ends.
    wake_at: datetime | None = None
    block: Block | None = None
    record: Record | None = None
    receipt: Receipt | None = None
    #: What is kept of the receipts before, the newest first.
    history: tuple[Brief, ...] = ()
    pause: Pause | None = None
    #: The version in force: alias ``current``, else the receipt's; None when neither exists.
    current: int | None = None
    aliases: dict[str, int] = field(default_factory=dict)

    @property
    def in_flight(self) -> Record:
        """The record of a rotation that is known to be in flight."""
        if self.record is None:
            raise LookupError("no rotation is in flight")
        return self.record

    @property
    def paused(self) -> bool:
        """Whether routine rotations are held."""
        return self.pause is not None and self.pause.paused

    @property
    def last(self) -> int:
        """Highest version number known to have existed."""
        receipt = self.receipt.last if self.receipt else 0
        flight = self.record
        record = max(flight.next or 0, flight.base, flight.highest) if flight else 0
        return max(receipt, record, self.current or 0)
