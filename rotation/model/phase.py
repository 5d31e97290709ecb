"""Where a rotation stands, and what can happen to it.

The moves between phases are data in `rotation.machine.transitions`; nothing here decides.
"""

from enum import Enum


class Phase(Enum):
    """Where one rotation stands.  ``label`` is what the secret shows."""

    SETTLED = "settled"
    #: Mint the next credential, verify, add the version, move the aliases.
    PREPARING = "preparing"
    #: *next* is added; every participant of every stage says whether it can take it.
    VOTING = "voting"
    #: Hand *next* to the consumers of a stage, then watch them until its gates pass.
    ROLLING_OUT = "rolling-out"
    #: Old and new both work.
    SOAKING = "soaking"
    #: Retiring: nobody may use *previous* any more; then its logins are stopped, reversibly.
    SUSPENDING = "suspending"
    #: Retiring: suspended, watching for stragglers.
    OBSERVING = "observing"
    #: Retiring: a straggler gets its credential back.
    RESTORING = "restoring"
    #: Retiring: the credential dies, its sessions end; from here there is no way back.
    REVOKING = "revoking"
    #: Retiring: the revoked version waits for its destruction.
    DESTROYING = "destroying"
    #: Forget *next*: stop its logins, disable its version.
    ABORTING = "aborting"
    #: Consumers go back to *previous*; `ABORTING` then forgets *next*.
    REVERTING = "reverting"
    #: Aliases are back; participants outside the secret go back, the last stage first.
    WITHDRAWING = "withdrawing"

    @property
    def label(self) -> str:
        """Value of the phase label; steps of one thing share one."""
        return "retiring" if self in RETIRING else _SHARED.get(self, self.value)


_SHARED = {Phase.VOTING: "preparing", Phase.WITHDRAWING: "reverting"}

#: The steps that the label calls ``retiring``.
RETIRING = frozenset(
    {Phase.SUSPENDING, Phase.OBSERVING, Phase.RESTORING, Phase.REVOKING, Phase.DESTROYING}
)


class Event(Enum):
    """What happened to a rotation."""

    STARTED = "started"
    PUBLISHED = "published"
    #: The version is added, and handed to nobody yet: the rollout has stages or participants.
    ADDED = "added"
    #: Every participant can take it: the decision.
    PREPARED = "prepared"
    #: The stage proved itself, and another one follows.
    STAGE_PROVEN = "stage proven"
    ROLLED_OUT = "rolled out"
    ROLLED_OUT_FIRST = "rolled out first"
    ROLLED_OUT_IN_EMERGENCY = "rolled out in an emergency"
    #: Published, and there is no previous credential to retire.
    PUBLISHED_FIRST = "published first"
    #: Published in an emergency: no soak.
    PUBLISHED_IN_EMERGENCY = "published in an emergency"
    SOAKED = "soaked"
    SUSPENDED = "previous suspended"
    STRAGGLER_SEEN = "straggler seen"
    #: Somebody paused: whatever can still be given back is.
    PAUSED = "paused"
    RESTORED = "straggler restored"
    WATCHED = "watched, nobody came"
    REVOKED = "previous revoked"
    DESTROYED = "previous destroyed"
    #: An emergency overtakes: previous and current may both have leaked.
    EMERGENCY = "emergency"
    #: A person asked to go back, or a participant voted no, before consumers were handed anything.
    REFUSED = "refused"
    #: A person asked to go back, or the current credential no longer works.
    REVERT_ASKED = "revert asked"
    REVERTED = "consumers on previous again"
    #: Consumers of aliases are; those of other participants follow.
    POINTED_BACK = "aliases on previous again"
    #: *previous* cannot be brought back, and an emergency waits: it goes on with *next*.
    NO_WAY_BACK = "no way back in an emergency"
    WITHDRAWN = "participants on previous again"
    ABORTED = "next forgotten"


class Mode(Enum):
    """How a rotation was asked for."""

    ROUTINE = "routine"
    EMERGENCY = "emergency"
