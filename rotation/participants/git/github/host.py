"""One repository on GitHub.

Rules of this module:
  1. A commit is made by ``createCommitOnBranch`` where it can be: GitHub signs it and compares the
     head itself.  It knows neither merges nor executable files; those are put together from Git
     objects, without an author, which GitHub signs for Apps, and the branch goes forward to them.
  2. A branch moves forward only, and is deleted only while it points where we saw it.
  3. A merge names the head it expects.
"""

import base64
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Final
from urllib.parse import quote

from rotation.model.errors import AccessDeniedError, EtagMismatchError, NotFoundError
from rotation.participants.git.github.api import (
    CONFLICT,
    FORBIDDEN,
    NOT_ALLOWED,
    NOT_FOUND,
    UNPROCESSABLE,
    Api,
    UnprocessableError,
)
from rotation.participants.git.github.documents import (
    AUTO_MERGE,
    COMMIT,
    ENQUEUE,
    ENTRIES,
    MERGE_STATE,
    READY,
    UPDATE_REFS,
)
from rotation.participants.git.github.merge_state import Rules, judge
from rotation.participants.git.host import (
    Commit,
    Comparison,
    Files,
    MergeRequest,
    MergeState,
    Readiness,
    RequestState,
)
from rotation.participants.git.repository import Repository

_PLAIN, _EXECUTABLE = 0o100644, 0o100755
_NO_COMMIT: Final = "0" * 40
_PAGE: Final = 100


class GitHub:
    """Implements `Host`."""

    runs_checks: ClassVar[bool] = True

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._api = Api(repository)
        #: Mode and blob by commit and path: what a commit holds never changes.
        self._entries: dict[tuple[str, str], tuple[int, str] | None] = {}
        self._blobs: dict[str, bytes] = {}

    def head(self, branch: str) -> str | None:
        """Return the commit a branch points to."""
        answer = self._api.get(f"/git/ref/heads/{_quoted(branch)}", NOT_FOUND, CONFLICT)
        if answer.status in (NOT_FOUND, CONFLICT):
            # Is it the branch that is missing, or all of it?
            self._api.get("")
            return None
        return str(answer.body["object"]["sha"])

    def commit(self, oid: str) -> Commit:
        """Return one commit."""
        body = self._api.get(f"/git/commits/{oid}").body
        parents = tuple(parent["sha"] for parent in body["parents"])
        return Commit(oid, parents, body["message"])

    def read(self, oid: str, path: str) -> bytes | None:
        """Return a file as of a commit."""
        entry = self._entry(oid, path)
        if entry is None or entry[0] not in (_PLAIN, _EXECUTABLE):
            return None
        blob = entry[1]
        if blob not in self._blobs:
            body = self._api.get(f"/git/blobs/{blob}").body
            self._blobs[blob] = base64.b64decode(body["content"])
        return self._blobs[blob]

    def compare(self, base: str, head: str) -> Comparison:
        """Compare two commits."""
        answer = self._api.get(
            f"/compare/{base}...{head}", NOT_FOUND, params={"per_page": _PAGE, "page": 1}
        )
        body = answer.body
        if answer.status == NOT_FOUND or body["total_commits"] > len(body["commits"]):
            return Comparison(None, (), frozenset())
        commits = tuple(
            Commit(
                commit["sha"],
                tuple(parent["sha"] for parent in commit["parents"]),
                commit["commit"]["message"],
            )
            for commit in body["commits"]
        )
        names = (
            name
            for file in body.get("files", ())
            for name in (file["filename"], file.get("previous_filename"))
            if name
        )
        return Comparison(body["merge_base_commit"]["sha"], commits, frozenset(names))

    def write(self, branch: str, known_head: str | None, parent: str, files: Files) -> str:
        """Add one commit and point the branch to it."""
        if known_head is None:
            self._create(branch, parent)
        elif known_head != parent and not self._forward(branch, parent):
            made = self._put_together((known_head, parent), files)
            return self._arrived(branch, made)
        modes = {(self._entry(parent, path) or (_PLAIN, ""))[0] for path in files.content}
        if modes - {_PLAIN}:
            return self._arrived(branch, self._put_together((parent,), files))
        return self._commit_on(branch, parent, files)

    def find_request(self, branch: str, base: str) -> MergeRequest | None:
        """Return the newest pull request."""
        found = self._api.get(
            "/pulls",
            params={
                "head": f"{self._api.owner}:{branch}",
                "base": base,
                "state": "all",
                "sort": "created",
                "direction": "desc",
                "per_page": 1,
            },
        ).body
        return _request(found[0]) if found else None

    def open_request(
        self, branch: str, base: str, title: str, body: str, *, draft: bool
    ) -> MergeRequest:
        """Open a pull request."""
        given = {"title": title, "body": body, "head": branch, "base": base}
        answer = self._api.send("POST", "/pulls", UNPROCESSABLE, body={**given, "draft": draft})
        if answer.status != UNPROCESSABLE:
            return _request(answer.body)
        there = self.find_request(branch, base)
        if there is not None and there.state is RequestState.OPEN:
            return there
        # Some plans know no drafts.
        return _request(self._api.send("POST", "/pulls", body=given).body)

    def make_ready(self, request: MergeRequest) -> None:
        """Take a pull request out of draft."""
        pull = self._pull(request)
        if pull["isDraft"]:
            self._api.mutate(READY, {"pullRequestId": pull["id"]})

    def merge_state(self, request: MergeRequest, base: str) -> MergeState:
        """Say what stands between a pull request and its merge."""
        return self._judged(self._pull(request), self._rules(base))

    def merge(self, request: MergeRequest, base: str, head: str) -> MergeState:
        """Merge, or hand it to the merge queue."""
        pull, rules = self._pull(request), self._rules(base)
        if pull["state"] == "MERGED":
            return MergeState(Readiness.READY)
        merge_state = self._judged(pull, rules)
        if merge_state.readiness is Readiness.WAITING and self._wants_auto_merge(pull):
            self._mutate_pull(AUTO_MERGE, pull, head, mergeMethod=self._method(rules).upper())
        if merge_state.readiness is not Readiness.READY:
            return merge_state
        if rules.has_queue:
            self._mutate_pull(ENQUEUE, pull, head)
            return MergeState(Readiness.WAITING, "it was put into the merge queue")
        return self._merged(request, head, self._method(rules))

    def close_request(self, request: MergeRequest) -> None:
        """Close a pull request without merging."""
        self._api.send("PATCH", self._pull_path(request), UNPROCESSABLE, body={"state": "closed"})

    def delete_branch(self, branch: str, head: str) -> None:
        """Delete a branch while it points to ``head``."""
        update = {"name": f"refs/heads/{branch}", "beforeOid": head, "afterOid": _NO_COMMIT}
        given = {"repositoryId": self._about["node_id"], "refUpdates": [{**update, "force": True}]}
        try:
            self._api.mutate(UPDATE_REFS, given)
        except (EtagMismatchError, NotFoundError, UnprocessableError):
            # Gone, moved on, or kept by a rule: in any case not ours to insist on.
            return

    @cached_property
    def _about(self) -> Mapping[str, Any]:
        about: Mapping[str, Any] = self._api.get("").body
        return about

    def _entry(self, oid: str, path: str) -> tuple[int, str] | None:
        """Return mode and id of a file."""
        if (oid, path) not in self._entries:
            folder, _, name = path.rpartition("/")
            found = self._api.query(ENTRIES, expression=f"{oid}:{folder}")["object"] or {}
            entries = (entry for entry in found.get("entries") or () if entry["name"] == name)
            entry = next(entries, None)
            self._entries[oid, path] = (entry["mode"], entry["oid"]) if entry else None
        return self._entries[oid, path]

    def _create(self, branch: str, oid: str) -> None:
        ref = {"ref": f"refs/heads/{branch}", "sha": oid}
        answer = self._api.send("POST", "/git/refs", UNPROCESSABLE, body=ref)
        if answer.status != UNPROCESSABLE:
            return
        head = self.head(branch)
        if head is None:
            raise AccessDeniedError(
                f"GitHub refuses to create the branch {branch}",
                remedy="let the rules of the repository allow the App to create secret-rotation-*",
            )
        if head != oid:
            raise EtagMismatchError(f"the branch {branch} exists by now")

    def _forward(self, branch: str, oid: str) -> bool:
        """Move a branch forward; False when it has something that ``oid`` has not behind it."""
        body = {"sha": oid, "force": False}
        path = f"/git/refs/heads/{_quoted(branch)}"
        return self._api.send("PATCH", path, UNPROCESSABLE, body=body).status != UNPROCESSABLE

    def _arrived(self, branch: str, oid: str) -> str:
        if not self._forward(branch, oid):
            raise EtagMismatchError(f"the branch {branch} has moved")
        return oid

    def _commit_on(self, branch: str, parent: str, files: Files) -> str:
        headline, _, body = files.message.partition("\n\n")
        additions = [
            {"path": path, "contents": base64.b64encode(content).decode()}
            for path, content in files.content.items()
        ]
        given = {
            "branch": {
                "repositoryNameWithOwner": f"{self._api.owner}/{self._api.name}",
                "branchName": branch,
            },
            "message": {"headline": headline, "body": body},
            "expectedHeadOid": parent,
            "fileChanges": {"additions": additions},
        }
        try:
            made = self._api.mutate(COMMIT, given)["createCommitOnBranch"]["commit"]
        except NotFoundError:
            raise EtagMismatchError(f"the branch {branch} is gone") from None
        return str(made["oid"])

    def _put_together(self, parents: tuple[str, ...], files: Files) -> str:
        """Make a commit from Git objects, on the files of the last parent."""
        base = parents[-1]
        tree = self._api.get(f"/git/commits/{base}").body["tree"]["sha"]
        entries = []
        for path, content in files.content.items():
            blob = {"content": base64.b64encode(content).decode(), "encoding": "base64"}
            sha = self._api.send("POST", "/git/blobs", body=blob).body["sha"]
            mode = (self._entry(base, path) or (_PLAIN, ""))[0]
            entries.append({"path": path, "mode": f"{mode:o}", "type": "blob", "sha": sha})
        made = {"base_tree": tree, "tree": entries}
        tree = self._api.send("POST", "/git/trees", body=made).body["sha"]
        commit = {"message": files.message, "tree": tree, "parents": list(parents)}
        return str(self._api.send("POST", "/git/commits", body=commit).body["sha"])

    def _pull_path(self, request: MergeRequest) -> str:
        return f"/pulls/{request.number.removeprefix('#')}"

    def _pull(self, request: MergeRequest) -> Mapping[str, Any]:
        """Return a pull request with all its checks, however many pages they fill."""
        number = int(request.number.removeprefix("#"))
        checks: list[Any] = []
        after = None
        while True:
            found = self._api.query(MERGE_STATE, number=number, after=after)
            pull: dict[str, Any] = found["pullRequest"]
            if pull["statusCheckRollup"] is None:
                return {**pull, "checks": checks}
            contexts = pull["statusCheckRollup"]["contexts"]
            checks += contexts["nodes"]
            if not contexts["pageInfo"]["hasNextPage"]:
                return {**pull, "checks": checks}
            after = contexts["pageInfo"]["endCursor"]

    def _rules(self, base: str) -> Rules:
        rules = self._api.get(
            f"/rules/branches/{_quoted(base)}", FORBIDDEN, params={"per_page": _PAGE}
        )
        # Plans without rulesets forbid to ask for them.
        listed = [] if rules.status == FORBIDDEN else rules.body
        branch = self._api.get(f"/branches/{_quoted(base)}", NOT_FOUND)
        protection = {} if branch.status == NOT_FOUND else branch.body
        return Rules.read(listed, protection, self._about)

    def _judged(self, pull: Mapping[str, Any], rules: Rules) -> MergeState:
        settings = self._repository
        return judge(pull, rules, wanted=settings.merge_method, checks=settings.checks)

    def _method(self, rules: Rules) -> str:
        return rules.method(self._repository.merge_method)

    def _wants_auto_merge(self, pull: Mapping[str, Any]) -> bool:
        return (
            self._repository.auto_merge
            and not pull["autoMergeRequest"]
            and not pull["isInMergeQueue"]
        )

    def _mutate_pull(
        self, document: str, pull: Mapping[str, Any], head: str, **more: object
    ) -> None:
        given = {"pullRequestId": pull["id"], "expectedHeadOid": head, **more}
        try:
            self._api.mutate(document, given)
        except UnprocessableError:
            # It became ready, or was put there, meanwhile: the next look shows which.
            return

    def _merged(self, request: MergeRequest, head: str, method: str) -> MergeState:
        body = {"sha": head, "merge_method": method}
        path = f"{self._pull_path(request)}/merge"
        answer = self._api.send("PUT", path, NOT_ALLOWED, CONFLICT, body=body)
        if answer.status == CONFLICT:
            raise EtagMismatchError(f"{request.number} has another head by now")
        if answer.status == NOT_ALLOWED:
            return MergeState(Readiness.WAITING, "GitHub does not let it be merged yet")
        return MergeState(Readiness.READY)


def _request(body: Mapping[str, Any]) -> MergeRequest:
    state = RequestState.OPEN
    if body["state"] == "closed":
        state = RequestState.MERGED if body["merged_at"] else RequestState.CLOSED
    return MergeRequest(
        number=f"#{body['number']}",
        link=body["html_url"],
        state=state,
        head=body["head"]["sha"],
        draft=bool(body.get("draft")),
    )


def _quoted(branch: str) -> str:
    return quote(branch, safe="/")
