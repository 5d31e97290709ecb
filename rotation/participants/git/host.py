"""What the git participant needs from the place that hosts a repository.

Implemented by a forge's API (GitHub, GitLab, Gitea) or by plain Git without one.  The participant
decides what to write and whether to go on; a host carries it out and reports what is there.

Rules for hosts:
  1. No working tree, no ``git`` command, nothing on disk.
  2. Every call may be repeated; a repeat finds what the first one made.
  3. Nothing is ever forced: a branch moves only from the head the caller has read.
  4. Errors: `TemporaryError` for what may pass (5xx, time-outs, rate limits, 409 while the forge is
     still thinking), `UnknownOutcomeError` for a change that was sent and not answered,
     `PermanentError` with a remedy for the rest (repository gone, no permission, expired key).
     Messages never hold a token, a URL with credentials, or a response body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Protocol

from rotation.model.errors import PermanentError


class StuckError(PermanentError):
    """A branch conflicts with its base, and the host can mend that only by force."""

    reason = "branch-conflicts"


@dataclass(frozen=True)
class Commit:
    """One commit."""

    oid: str
    parents: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Comparison:
    """What a branch has that its base has not."""

    #: The newest commit both have; None when they share none.
    fork: str | None
    #: Commits the base has not, the oldest first; empty when the base has them all.
    commits: tuple[Commit, ...]
    #: Files that differ between ``fork`` and the branch; a renamed one counts under both names.
    paths: frozenset[str]


class RequestState(Enum):
    """What became of a pull (merge) request."""

    OPEN = "open"
    MERGED = "merged"
    #: Closed without being merged.
    CLOSED = "closed"


@dataclass(frozen=True)
class MergeRequest:
    """A pull request, merge request, or (plain Git) the wish to move the base to a branch."""

    #: What people call it, for example ``#12``.
    number: str
    #: Where people can look; empty for plain Git.
    link: str
    state: RequestState
    #: Head of its branch.
    head: str
    draft: bool = False


class Readiness(Enum):
    """Whether a request can be merged."""

    READY = "ready"
    #: Something that will or may change: checks running, a review missing, a merge queue.
    WAITING = "waiting"
    #: The base has moved so that our commit does not apply: make it again on the new base.
    OUTDATED = "outdated"
    #: It cannot be merged as it is: a red check, changes requested.
    REFUSED = "refused"


@dataclass(frozen=True)
class MergeState:
    """What stands between a request and its merge."""

    readiness: Readiness
    #: For people, one sentence without a full stop; empty when ready.
    reason: str = ""


@dataclass(frozen=True)
class Files:
    """A change of files: new content by path, relative to the root of the repository."""

    content: Mapping[str, bytes]
    message: str


class Host(Protocol):
    """One repository at its host."""

    #: Whether somebody may look at a new commit before it is merged: checks, reviewers.
    runs_checks: ClassVar[bool]

    def head(self, branch: str) -> str | None:
        """Return the commit a branch points to; None when there is no such branch."""

    def commit(self, oid: str) -> Commit:
        """Return one commit."""

    def read(self, oid: str, path: str) -> bytes | None:
        """Return a file as of a commit; None when there is none (or it is not a plain file)."""

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two commits: what ``head`` has that ``base`` has not.

        Both are ids of commits.  A host that sees only so much of the history answers with what
        it sees, and with no ``fork`` when that is too little to tell.
        """

    def write(self, branch: str, known_head: str | None, parent: str, files: Files) -> str:
        """Add one commit on ``parent`` and point ``branch`` to it; return its id.

        Args:
            branch: Made when it is not there.
            known_head: The head of ``branch`` as it was read; None: there was none.
            parent: The commit to build on.  Where ``known_head`` is another commit, the new
                commit has both as parents, ``known_head`` first, and the files of ``parent``
                with the change; where ``parent`` has ``known_head`` behind it already, it alone
                is the parent.  A host that cannot make such a merge may put a commit on
                ``parent`` in the place of ``known_head``, in which the caller has found nothing
                but its own commits.
            files: What the commit changes.

        Raises:
            EtagMismatchError: The branch has moved since.
            StuckError: It can do neither.
        """

    def find_request(self, branch: str, base: str) -> MergeRequest | None:
        """Return the newest request from ``branch`` to ``base``, whatever its state."""

    def open_request(
        self, branch: str, base: str, title: str, body: str, *, draft: bool
    ) -> MergeRequest:
        """Open a request; an open one from the same branch is returned as it is."""

    def make_ready(self, request: MergeRequest) -> None:
        """Take a request out of draft."""

    def merge_state(self, request: MergeRequest, base: str) -> MergeState:
        """Say what stands between a request and its merge."""

    def merge(self, request: MergeRequest, base: str, head: str) -> MergeState:
        """Merge if the head is still ``head``; ready means merged.

        Where the host has a merge queue or auto-merge that must be used, the request is handed
        to it, and the answer is waiting.
        """

    def close_request(self, request: MergeRequest) -> None:
        """Close without merging."""

    def delete_branch(self, branch: str, head: str) -> None:
        """Delete a branch while its head is ``head``; one that is gone or moved is left alone."""
