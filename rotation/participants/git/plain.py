"""A repository on any Git server, reached by Git's own protocol.

There are no pull requests: a request is the wish to move the base to a branch.  Merging is a
compare-and-set push of the base, and only ever a fast-forward.

Rules of this module:
  1. Nothing is on disk, and no ``git`` or ``ssh`` is run.
  2. A commit follows from what it is made of: a repeat makes the same commit and finds it there.
  3. History is fetched as deep as a question needs, and no deeper than `DEEPEST`.
"""

from typing import ClassVar, Final

from rotation.model.errors import EtagMismatchError, PermanentError
from rotation.participants.git.host import (
    Commit,
    Comparison,
    Files,
    MergeRequest,
    MergeState,
    Readiness,
    RequestState,
)
from rotation.participants.git.objects import Objects
from rotation.participants.git.repository import Repository
from rotation.participants.git.wire import Wire

#: How much history is looked at, step by step.
_DEPTHS: Final = (1, 16, 256, 4096)
DEEPEST: Final = _DEPTHS[-1]


class PlainGit:
    """One repository on a Git server."""

    runs_checks: ClassVar[bool] = False

    def __init__(self, repository: Repository) -> None:
        self._wire = Wire(repository)
        self._objects = Objects()
        self._author = f"{repository.author_name} <{repository.author_email}>"

    def head(self, branch: str) -> str | None:
        """Return the commit a branch points to."""
        return self._wire.heads().get(branch)

    def commit(self, oid: str) -> Commit:
        """Return one commit."""
        self._have(oid)
        return self._objects.commit(oid)

    def read(self, oid: str, path: str) -> bytes | None:
        """Return a file as of a commit."""
        self._have(oid)
        return self._objects.file(oid, path)

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two commits, with as much history as that needs."""
        if base == head:
            return Comparison(base, (), frozenset())
        for depth in _DEPTHS:
            if depth > 1 or not self._are_here(base, head):
                self._wire.fetch((base, head), depth, self._objects)
            if self._are_here(base, head) and (found := self._objects.compare(base, head)):
                return found
        return Comparison(None, (self.commit(head),), frozenset())

    def write(self, branch: str, known_head: str | None, parent: str, files: Files) -> str:
        """Add one commit on ``parent``, or one that merges it into ``known_head``."""
        parents = (parent,) if known_head in (None, parent) else self._parents(known_head, parent)
        for oid in parents:
            self._have(oid)
        made = self._objects.make(parents, files, self._author)
        self._wire.push({branch: (known_head, made.oid)}, made.objects)
        return made.oid

    def find_request(self, branch: str, base: str) -> MergeRequest | None:
        """Return the wish that a branch stands for: merged once the base has its head."""
        heads = self._wire.heads()
        if branch not in heads:
            return None
        head = heads[branch]
        merged = base in heads and not self.compare(heads[base], head).commits
        return MergeRequest(branch, "", RequestState.MERGED if merged else RequestState.OPEN, head)

    def open_request(
        self,
        branch: str,
        base: str,
        title: str,  # noqa: ARG002 - there is nobody to show it to
        body: str,  # noqa: ARG002
        *,
        draft: bool,  # noqa: ARG002 - the base moves when `merge` is called, not before
    ) -> MergeRequest:
        """Return the wish; that the branch is there is all it takes."""
        found = self.find_request(branch, base)
        if found is None:
            raise EtagMismatchError(f"{branch} in {self._wire.place} is gone")
        return found

    def make_ready(self, request: MergeRequest) -> None:
        """Do nothing: there are no drafts."""

    def merge_state(self, request: MergeRequest, base: str) -> MergeState:
        """Return whether the base can be moved to the head of the request."""
        return self._merge_state(self._base(base), request.head, base)

    def merge(self, request: MergeRequest, base: str, head: str) -> MergeState:
        """Move the base to ``head``, from where it was when that was found to be a fast-forward."""
        if request.head != head:
            return MergeState(
                Readiness.REFUSED, f"{request.number} has other commits than expected"
            )
        base_head = self._base(base)
        merge_state = self._merge_state(base_head, head, base)
        if merge_state.readiness is Readiness.READY and self.compare(base_head, head).commits:
            try:
                self._wire.push({base: (base_head, head)})
            except EtagMismatchError:
                return MergeState(Readiness.OUTDATED, f"{base} has moved meanwhile")
        return merge_state

    def close_request(self, request: MergeRequest) -> None:
        """Do nothing: the wish ends with its branch."""

    def delete_branch(self, branch: str, head: str) -> None:
        """Delete a branch while its head is ``head``."""
        try:
            self._wire.push({branch: (head, None)})
        except EtagMismatchError:
            return

    def _are_here(self, *oids: str) -> bool:
        return all(oid in self._objects for oid in oids)

    def _have(self, oid: str) -> None:
        """Fetch a commit unless it is here; it may be off the tips by now, and so deeper."""
        for depth in (1, DEEPEST):
            if oid in self._objects:
                return
            self._wire.fetch((oid,), depth, self._objects)
        if oid not in self._objects:
            raise PermanentError(
                f"commit {oid[:10]} is not within {DEEPEST} commits of any branch of "
                f"{self._wire.place}",
                remedy="look whether the branch was rewritten",
                reason="commit-gone",
            )

    def _parents(self, known_head: str | None, parent: str) -> tuple[str, ...]:
        if known_head is None or not self.compare(parent, known_head).commits:
            return (parent,)
        return (known_head, parent)

    def _base(self, base: str) -> str:
        head = self.head(base)
        if head is None:
            raise PermanentError(
                f"{self._wire.place} has no branch {base}",
                remedy="write the branch that consumers are deployed from into base",
                reason="branch-gone",
            )
        return head

    def _merge_state(self, base_head: str, head: str, base: str) -> MergeState:
        merged = not self.compare(base_head, head).commits
        if merged or not self.compare(head, base_head).commits:
            return MergeState(Readiness.READY)
        return MergeState(Readiness.OUTDATED, f"{base} has moved")
