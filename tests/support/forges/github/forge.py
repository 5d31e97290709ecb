"""What GitHub keeps about one repository, and what people and robots do to it.

Rules of this module:
  1. A pull request's head is its branch's; it is frozen when the request ends.
  2. Whether a request can be merged is worked out after it was first asked: until then, unknown.
  3. Nothing is merged that a rule forbids, whoever asks.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.support.forges.store import Store

ROBOT = "rotation[bot] <rotation[bot]@users.noreply.example>"


@dataclass
class Check:
    """A check run, or (``is_status``) a commit status."""

    name: str
    #: ``SUCCESS``, ``FAILURE``, ...; empty while it runs.
    conclusion: str = ""
    is_status: bool = False
    number: int = 0


@dataclass
class Rules:
    """Rulesets of the base, and the older branch protection."""

    checks: tuple[str, ...] = ()
    protected_checks: tuple[str, ...] = ()
    strict: bool = False
    reviews: int = 0
    has_queue: bool = False
    methods: tuple[str, ...] = ("merge", "squash", "rebase")
    #: Branches that nobody may create.
    closed_to_creation: bool = False
    #: Branches that nobody may delete.
    closed_to_deletion: bool = False
    signed: bool = False
    allow_auto_merge: bool = True
    allow_drafts: bool = True
    #: Whether the plan that is paid for has rulesets.
    has_rulesets: bool = True


@dataclass
class Pull:
    """A pull request."""

    number: int
    branch: str
    base: str
    title: str
    body: str
    draft: bool
    state: str = "open"
    merged: str | None = None
    #: Head and base when the request ended.
    frozen: tuple[str, str] | None = None
    auto_merge: str = ""
    in_queue: bool = False
    reviews: dict[str, str] = field(default_factory=dict)
    #: The pair of heads that mergeability was worked out for.
    known: tuple[str, str] | None = None


class Refused(Exception):  # noqa: N818 - it is an answer
    """The request is answered with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Forge:
    """One repository at GitHub."""

    def __init__(self, files: Mapping[str, bytes], name: str = "acme/shop") -> None:
        self.store = Store(files)
        self.name = name
        self.rules = Rules()
        self.pulls: list[Pull] = []
        self.checks: dict[str, list[Check]] = {}
        self.signed: set[str] = set()
        self.archived = self.gone = False
        self.renamed_to = ""
        #: Conclusion of the checks that run on every new head of a request; empty: they stay.
        self.robots: dict[str, str] = {}
        #: For so many looks GitHub has not yet seen that a conflict is resolved.
        self.lag = 0
        self._numbers = itertools.count(1)

    # What the API asks.

    def pull(self, number: int) -> Pull:
        for pull in self.pulls:
            if pull.number == number:
                return pull
        raise Refused(404, "Not Found")

    def heads(self, pull: Pull) -> tuple[str, str]:
        """Return head and base of a request."""
        if pull.frozen:
            return pull.frozen
        head, base = self.store.head(pull.branch), self.store.head(pull.base)
        assert head is not None
        assert base is not None
        return head, base

    def open(self, branch: str, base: str, title: str, body: str, *, draft: bool) -> Pull:
        head, base_head = self.store.head(branch), self.store.head(base)
        if head is None or base_head is None:
            raise Refused(422, "Validation Failed")
        if draft and not self.rules.allow_drafts:
            raise Refused(422, "Draft pull requests are not supported in this repository.")
        if any(p.branch == branch and p.base == base for p in self.open_pulls()):
            raise Refused(422, "A pull request already exists.")
        if not self.store.ahead(base_head, head):
            raise Refused(422, "No commits between them")
        pull = Pull(next(self._numbers), branch, base, title, body, draft)
        self.pulls.append(pull)
        self._start_checks(head)
        return pull

    def open_pulls(self) -> Iterator[Pull]:
        return (pull for pull in self.pulls if pull.state == "open")

    def moved(self, branch: str) -> None:
        """Do what GitHub does when a branch has moved or gone."""
        for pull in list(self.open_pulls()):
            if self.store.head(pull.branch) is None or self.store.head(pull.base) is None:
                self._end(pull)
            elif pull.branch == branch:
                self._start_checks(self.heads(pull)[0])

    def mergeable(self, pull: Pull) -> str:
        heads = self.heads(pull)
        if pull.state == "open" and pull.known != heads:
            pull.known = heads
            return "UNKNOWN"
        if self.lag:
            self.lag -= 1
            return "CONFLICTING"
        return "MERGEABLE" if self.store.merged_tree(heads[1], heads[0]) else "CONFLICTING"

    def blocked(self, pull: Pull) -> str:
        """Return the merge state, a draft left out."""
        head, base = self.heads(pull)
        if self.store.merged_tree(base, head) is None:
            return "DIRTY"
        required = {*self.rules.checks, *self.rules.protected_checks}
        done = {check.name: check.conclusion for check in self.checks.get(head, ())}
        if any(done.get(name) not in ("SUCCESS", "NEUTRAL", "SKIPPED") for name in required):
            return "BLOCKED"
        if self.decision(pull) not in (None, "APPROVED"):
            return "BLOCKED"
        if self.rules.signed and not self.signed.issuperset(self.store.ahead(base, head)):
            return "BLOCKED"
        if self.rules.strict and self.store.fork(base, head) != base:
            return "BEHIND"
        return "CLEAN" if all(done.values()) else "UNSTABLE"

    def decision(self, pull: Pull) -> str | None:
        if not self.rules.reviews:
            return None
        if "CHANGES_REQUESTED" in pull.reviews.values():
            return "CHANGES_REQUESTED"
        approvals = list(pull.reviews.values()).count("APPROVED")
        return "APPROVED" if approvals >= self.rules.reviews else "REVIEW_REQUIRED"

    def merge(self, pull: Pull, method: str, sha: str | None = None) -> str:
        """Merge a request; returns the new head of the base."""
        if pull.state != "open" or pull.draft or self.blocked(pull) not in ("CLEAN", "UNSTABLE"):
            raise Refused(405, "Pull Request is not mergeable")
        if method not in self.rules.methods:
            raise Refused(405, f"{method} merges are not allowed on this repository.")
        head, base = self.heads(pull)
        if sha is not None and sha != head:
            raise Refused(409, "Head branch was modified. Review and try the merge again.")
        tree = self.store.merged_tree(base, head)
        assert tree is not None
        parents = (base, head) if method == "merge" else (base,)
        merged = self.store.commit(tree, parents, f"{pull.title} (#{pull.number})", ROBOT)
        self.signed.add(merged)
        self.store.move(pull.base, base, merged)
        self._end(pull, merged)
        return merged

    def _end(self, pull: Pull, merged: str | None = None) -> None:
        if pull.frozen is None:
            head = self.store.head(pull.branch) or (pull.known or ("0" * 40, ""))[0]
            pull.frozen = (head, self.store.head(pull.base) or "0" * 40)
        pull.state, pull.merged = "closed", merged
        pull.in_queue, pull.auto_merge = False, ""

    def _start_checks(self, head: str) -> None:
        for name, conclusion in self.robots.items():
            if not any(check.name == name for check in self.checks.get(head, ())):
                self.report(head, name, conclusion)

    # What people and robots do.

    def report(
        self, head: str, name: str, conclusion: str = "", *, is_status: bool = False
    ) -> None:
        """A check starts (no conclusion) or ends."""
        number = next(self._numbers)
        kept = [check for check in self.checks.get(head, ()) if check.name != name]
        self.checks[head] = [*kept, Check(name, conclusion, is_status, number)]

    def push(self, branch: str, files: Mapping[str, bytes | None], message: str = "By hand") -> str:
        """A person adds a commit."""
        oid = self.store.push(branch, files, message)
        self.moved(branch)
        return oid

    def close(self, number: int) -> None:
        """A person closes a request."""
        self._end(self.pull(number))

    def reopen(self, number: int) -> None:
        """A person opens it again."""
        pull = self.pull(number)
        assert pull.merged is None
        assert self.store.head(pull.branch) is not None
        pull.state, pull.frozen = "open", None

    def delete_branch(self, branch: str) -> None:
        """A person deletes a branch."""
        for pull in self.open_pulls():
            if branch in (pull.branch, pull.base):
                pull.known = self.heads(pull)
        self.store.move(branch, self.store.head(branch), None)
        self.moved(branch)

    def settle(self) -> None:
        """Let time pass: the merge queue runs, auto-merge merges what became ready."""
        for pull in list(self.open_pulls()):
            if pull.in_queue:
                pull.in_queue = False
                if self.blocked(pull) in ("CLEAN", "UNSTABLE", "BEHIND"):
                    self._merge_from_queue(pull)
            elif pull.auto_merge and not pull.draft and self.blocked(pull) == "CLEAN":
                self.merge(pull, pull.auto_merge)

    def _merge_from_queue(self, pull: Pull) -> None:
        strict, self.rules.strict = self.rules.strict, False
        try:
            self.merge(pull, self.rules.methods[0])
        finally:
            self.rules.strict = strict
