"""What a system must offer to carry versions to its consumers.

There are two kinds.  A *riding* participant is part of the secret itself: its change rides in the
same compare-and-set as the phase, so it can neither be half done nor be repeated.  An *outside*
participant lives elsewhere, for example in a Git repository, and takes part in a two-phase commit.

Rules for outside participants:
  1. Any call may be repeated after a crash, by another process; a repeat succeeds without a second
     effect.  Names of things that are made (branches, requests) follow from the `Move` alone.
  2. What cannot be done now is an answer with a reason (`Vote.wait`, `Progress.wait`), not a sleep.
  3. Nothing that consumers see changes before `commit`.
  4. Once `commit` has answered done it is not called again: a person who moves consumers by hand
     afterwards wins.
  5. Every call may raise `TemporaryError` (unreachable, rate limit, 5xx), `UnknownOutcomeError`
     (sent, and no answer) and `PermanentError` (with a remedy).
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from rotation.model.plugin import Change, ParticipantSpec
from rotation.model.rollout import Move, Plan, Progress, ServedVersions, Vote


class ParticipantEnvironment(Struct, frozen=True):
    """What a participant may ask its environment for."""

    #: Bytes of a version by its full name (``projects/P/secrets/S/versions/V``), for tokens and
    #: keys; V may be ``latest`` or an alias.
    read_secret: Callable[[str], bytes]
    #: An OAuth access token of the process's own identity.
    access_token: Callable[[], str]
    #: Project number of a project id, where it is known; to tell whether two names are one secret.
    project_number: Callable[[str], str | None] = lambda _project: None


class RidingParticipant(Protocol):
    """A participant whose pointer is stored on the secret (``spec.rides_in_write``).

    All methods are pure: they get the aliases as read and return the aliases to store.
    Applying one twice gives the same map; aliases of others are kept.
    """

    spec: ClassVar[ParticipantSpec]

    def __init__(self, settings: Any) -> None: ...  # noqa: ANN401

    def observe(self, aliases: Mapping[str, int]) -> int | None:
        """Return the version consumers get; None when nothing points anywhere yet."""

    def commit(self, aliases: Mapping[str, int], change: Change) -> Mapping[str, int]:
        """Hand consumers the next version; never take the previous one away."""

    def revert(self, aliases: Mapping[str, int], change: Change) -> Mapping[str, int]:
        """Hand consumers the previous version again."""


class OutsideParticipant(Protocol):
    """A participant that lives outside the secret.  Calls run beside those of others."""

    spec: ClassVar[ParticipantSpec]

    def __init__(self, settings: Any, environment: ParticipantEnvironment) -> None: ...  # noqa: ANN401

    def plan(self, move: Move) -> Plan:
        """Say what would change, file by file; changes nothing."""

    def prepare(self, move: Move) -> Vote:
        """Make everything ready so that `commit` cannot be refused by rule; consumers see nothing.

        Called until the vote is yes or no.  A repeat finds what was made and votes the same.
        """

    def commit(self, move: Move) -> Progress:
        """Hand out what `prepare` has made ready; called until it answers done.

        Where that is gone it waits: a worker that comes late must not bring back what another one
        has withdrawn.

        The answer is done, too, when consumers have the next version already, whoever did it.
        """

    def revert(self, move: Move) -> Progress:
        """Hand consumers the previous version again; called until it answers done.

        It may come after any number of `commit` calls, none included.  What consumers got from
        somebody else meanwhile is left alone, and counts as done.
        """

    def abort(self, move: Move) -> None:
        """Remove what `prepare` made, unless others have built on it; consumers see nothing."""

    def observe(self, move: Move) -> ServedVersions:
        """Look what consumers really get."""

    def retire(self, move: Move) -> None:
        """Clean up; the previous version is gone."""
