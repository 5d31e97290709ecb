"""What the engine and the plugins of a rollout say to each other.

Rules of this module:
  1. Frozen records and enums only; nothing here decides.
  2. None of them ever holds a secret value: numbers of versions, names and reasons.
"""

from collections.abc import Callable
from datetime import datetime
from enum import Enum

from msgspec import Struct

from rotation.model.names import SecretName
from rotation.model.plugin import Change, Observation


class Move(Struct, frozen=True):
    """The change that a participant is asked to carry to its consumers.

    Equal for every call of one rotation; ``rotation_id`` and ``stage`` together name what a
    participant makes.
    """

    secret: SecretName
    #: Sortable, lower-case letters, digits and dashes; unique for the secret.
    rotation_id: str
    #: Name of the stage.
    stage: str
    #: ``change.previous`` is None when this is the first credential.
    change: Change
    #: For people: why, and who asked.
    reason: str = ""
    requested_by: str = ""
    #: An emergency: do not wait for what is only a courtesy (drafts, quiet hours).
    urgent: bool = False


class Answer(Enum):
    """How a call went that may need more time."""

    DONE = "done"
    WAIT = "wait"
    NO = "no"


class Vote(Struct, frozen=True):
    """What `prepare` ended in: ready (done), not yet (wait), or never (no)."""

    answer: Answer
    #: Why it waits or refuses, one sentence without a full stop; empty when ready.
    reason: str = ""
    #: What mends a refusal.
    remedy: str = ""
    #: Where people can look, for example the URL of a pull request.
    link: str = ""

    @classmethod
    def yes(cls, link: str = "") -> "Vote":
        """Ready."""
        return cls(Answer.DONE, link=link)

    @classmethod
    def wait(cls, reason: str, link: str = "") -> "Vote":
        """Not yet; ask again."""
        return cls(Answer.WAIT, reason, link=link)

    @classmethod
    def no(cls, reason: str, remedy: str = "", link: str = "") -> "Vote":
        """Never: the rotation is given up before anything has moved."""
        return cls(Answer.NO, reason, remedy, link)


class Progress(Struct, frozen=True):
    """What `commit` or `revert` ended in: done, or not yet."""

    answer: Answer
    reason: str = ""
    link: str = ""

    @classmethod
    def done(cls, link: str = "") -> "Progress":
        """Consumers have it."""
        return cls(Answer.DONE, link=link)

    @classmethod
    def wait(cls, reason: str, link: str = "") -> "Progress":
        """Not yet; ask again."""
        return cls(Answer.WAIT, reason, link)


class ServedVersions(Struct, frozen=True):
    """Which versions consumers of a participant get now."""

    #: Empty: they cannot be observed, ``unobservable_reason`` says why.
    versions: frozenset[int]
    unobservable_reason: str = ""
    #: Where, for people.
    place: str = ""


class PlannedEdit(Struct, frozen=True):
    """One place that a participant would change."""

    #: For example a path in a repository.
    place: str
    #: A unified diff, or one line that says what changes.
    diff: str


class Plan(Struct, frozen=True):
    """What a participant would do."""

    edits: tuple[PlannedEdit, ...] = ()
    #: Why it would refuse or wait; empty when nothing stands in the way.
    obstacle: str = ""


class Watch(Struct, frozen=True):
    """What a gate is asked about."""

    secret: SecretName
    rotation_id: str
    stage: str
    change: Change
    #: When the consumers of the stage were handed the next version.
    since: datetime
    now: datetime
    #: Look who uses the previous credential, and who the next one.  May raise
    #: `TemporaryError` and `PermanentError`; None when there is no previous credential.
    previous_use: Callable[[], Observation] | None
    next_use: Callable[[], Observation]


class Look(Enum):
    """What a gate found."""

    PASS = "pass"  # noqa: S105 - a verdict
    WAIT = "wait"
    FAIL = "fail"


class Verdict(Struct, frozen=True):
    """What a gate says about a stage now."""

    look: Look
    #: What was observed, one sentence without a full stop, numbers included.
    evidence: str
    #: When to look again; None: at the stage's usual pace.
    until: datetime | None = None

    @classmethod
    def passed(cls, evidence: str) -> "Verdict":
        """All is well, by what was observed."""
        return cls(Look.PASS, evidence)

    @classmethod
    def wait(cls, reason: str, until: datetime | None = None) -> "Verdict":
        """It is not known yet.  A gate that cannot observe waits; it never passes."""
        return cls(Look.WAIT, reason, until)

    @classmethod
    def failed(cls, reason: str) -> "Verdict":
        """Consumers suffer: the rollout goes back."""
        return cls(Look.FAIL, reason)
