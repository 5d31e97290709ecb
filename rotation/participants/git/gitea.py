"""A repository on Gitea or Forgejo, by the REST API they share.

Rules of this module:
  1. A branch is made on the very commit the caller has read, then gets its commit; whoever comes
     between is found by the commit's parent.
  2. A merge names the head it is meant for (``head_commit_id``).
  3. ``mergeable`` is false for a conflict, for a draft and while Gitea is still checking; which
     of them it is follows from the files that both sides changed.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import quote

from rotation.model.errors import EtagMismatchError, PermanentError, TemporaryError
from rotation.participants.git.forge import Forge, escaped, oldest_first, understood
from rotation.participants.git.host import (
    Commit,
    Comparison,
    Files,
    MergeRequest,
    MergeState,
    Readiness,
    RequestState,
)

#: Prefixes of a title that Gitea and Forgejo take for a draft, as long as nobody changed them.
_DRAFT: Final = "WIP: "
_DRAFTS: Final = (_DRAFT, "WIP:", "[WIP] ", "[WIP]")
_PAGE: Final = 50
#: How many pages of pull requests are looked through, the newest first.
_PAGES: Final = 20
#: Ways to merge, and what the repository calls them where it allows them; the first is preferred.
_STYLES: Final = {
    "merge": "allow_merge_commits",
    "squash": "allow_squash_merge",
    "rebase": "allow_rebase",
    "rebase-merge": "allow_rebase_explicit",
    "fast-forward-only": "allow_fast_forward_only_merge",
}
_READY: Final = MergeState(Readiness.READY)


class Gitea(Forge):
    """One repository on Gitea or Forgejo."""

    runs_checks: ClassVar[bool] = True

    name = "Gitea"
    api_path = "/api/v1"
    git_user = "rotation"

    @property
    def _repository_path(self) -> str:
        return f"/repos/{quote(self._repository.location.path)}"

    def head(self, branch: str) -> str | None:
        """Return the commit a branch points to."""
        found = self._branch(branch)
        return None if found is None else str(found["commit"]["id"])

    def commit(self, oid: str) -> Commit:
        """Return one commit."""
        brief = {"stat": "false", "verification": "false", "files": "false"}
        answer = self._get(f"/git/commits/{oid}", params=brief)
        return _commit(understood(answer, "sha", "parents"))

    def find_request(self, branch: str, base: str) -> MergeRequest | None:
        """Return the newest pull request."""
        any_of_them = self._found(self._get(f"/pulls/{escaped(base)}/{quote(branch)}", 404))
        if any_of_them is None:
            return None
        first = _request(any_of_them)
        if first.state is RequestState.OPEN:
            return first
        newest = next(self._requests(branch, base), any_of_them)
        return _request(newest)

    def open_request(
        self, branch: str, base: str, title: str, body: str, *, draft: bool
    ) -> MergeRequest:
        """Open a pull request, unless one is open."""
        wanted = {
            "head": branch,
            "base": base,
            "title": (_DRAFT if draft else "") + title,
            "body": body,
        }
        found = self.find_request(branch, base)
        if found is None or found.state is not RequestState.OPEN:
            answer = self._send("POST", "/pulls", 409, body=wanted)
            if answer.status != HTTPStatus.CONFLICT:
                return _request(understood(answer, "number", "head"))
            found = self.find_request(branch, base)
        if found and found.state is RequestState.OPEN:
            return found
        raise TemporaryError(f"{self.name} is still opening a pull request from {branch}")

    def make_ready(self, request: MergeRequest) -> None:
        """Take the draft mark from the title."""
        found = self._pull(request)
        title = str(found["title"])
        prefix = next((one for one in _DRAFTS if title.startswith(one)), "")
        if prefix:
            self._send("PATCH", self._path(request), body={"title": title.removeprefix(prefix)})

    def merge_state(self, request: MergeRequest, base: str) -> MergeState:
        """Say what stands between a pull request and its merge; that it is a draft does not."""
        found = self._pull(request)
        if ended := self._ended(_request(found), request.head):
            return ended
        rules = self._branch(base)
        if rules is None:
            return MergeState(Readiness.REFUSED, f"there is no branch {base}")
        if not found.get("mergeable") and (conflict := self._conflict(found, rules, request.head)):
            return conflict
        for obstacle in self._obstacles(request, rules):
            return obstacle
        return _READY

    def merge(self, request: MergeRequest, base: str, head: str) -> MergeState:
        """Merge, or hand the pull request to auto-merge where that is wanted."""
        wanted = {
            "Do": self._style(),
            "head_commit_id": head,
            "delete_branch_after_merge": False,
            "merge_when_checks_succeed": self._repository.auto_merge,
        }
        refusals = (404, 405, 409)
        answer = self._send("POST", f"{self._path(request)}/merge", *refusals, body=wanted)
        if answer.status in refusals:
            return self._after_refusal(request, base, head)
        if answer.status == HTTPStatus.CREATED:
            return MergeState(Readiness.WAITING, f"{self.name} merges {request.number} when it may")
        return _READY

    def close_request(self, request: MergeRequest) -> None:
        """Close without merging."""
        if self._look(request).state is RequestState.OPEN:
            self._send("PATCH", self._path(request), body={"state": "closed"})

    def _content(self, oid: str, path: str) -> Any:  # noqa: ANN401 - JSON
        found = self._found(self._get(f"/contents/{quote(path)}", 404, params={"ref": oid}))
        # A folder is a list; links and submodules have a type of their own.
        if not isinstance(found, dict) or found.get("type") != "file":
            return None
        if found.get("content") is None:
            raise PermanentError(
                f"{path} in {self._place} is too large for {self.name}'s API",
                remedy="keep the pin in a small file",
                reason="answer-too-long",
            )
        return found

    def _compared(self, base: str, head: str) -> Comparison | None:
        answer = self._get(f"/compare/{base}...{head}", params={"verification": "false"})
        listed = understood(answer, "commits")["commits"] or []
        commits = oldest_first(map(_commit, listed))
        if not commits:
            return Comparison(head, (), frozenset())
        if any(len(one.parents) != 1 for one in commits) or any(
            "files" not in one for one in listed
        ):
            # A merge's files are listed against one parent only.
            return None
        paths = {file["filename"] for one in listed for file in one["files"] or []}
        return Comparison(commits[0].parents[0], commits, frozenset(paths))

    def _create(self, branch: str, parent: str, files: Files) -> str | None:
        wanted: object = {"new_branch_name": branch, "old_ref_name": parent}
        made = self._send("POST", "/branches", 409, body=wanted)
        if made.status == HTTPStatus.CONFLICT and self.head(branch) != parent:
            return None
        wanted = {
            "branch": branch,
            "message": files.message,
            "files": [self._operation(parent, *file) for file in files.content.items()],
        }
        answer = self._send("POST", "/contents", 409, 422, body=wanted)
        if answer.status in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
            return None
        commit = understood(answer, "commit")["commit"]
        if [one["sha"] for one in commit["parents"]] != [parent]:
            raise EtagMismatchError(f"{branch} in {self._place} has moved")
        return str(commit["sha"])

    def _operation(self, parent: str, path: str, content: bytes) -> Mapping[str, str]:
        there = self._content(parent, path)
        new = {"path": path, "content": b64encode(content).decode()}
        if there is None:
            return {"operation": "create", **new}
        return {"operation": "update", "sha": str(there["sha"]), **new}

    def _requests(self, branch: str, base: str) -> Iterator[Any]:
        """Go through the pull requests of a branch, the newest first."""
        for page in range(1, _PAGES + 1):
            params = {"state": "all", "base_branch": base, "page": page, "limit": _PAGE}
            found = self._get("/pulls", params=params).body or []
            for one in found:
                head, target = one["head"], one["base"]
                own = head.get("repo_id") == target.get("repo_id")
                if own and head["ref"] == branch and target["ref"] == base:
                    yield one
            if len(found) < _PAGE:
                return

    def _conflict(self, found: Any, rules: Any, head: str) -> MergeState | None:  # noqa: ANN401 - JSON
        """Say why a pull request is not mergeable; None when only its being a draft is why."""
        base_head = str(rules["commit"]["id"])
        ours = self.compare(base_head, head).paths
        theirs = self.compare(head, base_head).paths
        if ours & theirs:
            return MergeState(Readiness.OUTDATED, f"{rules['name']} has moved: there is a conflict")
        if found.get("draft"):
            return None
        return MergeState(Readiness.WAITING, f"{self.name} is checking whether it can be merged")

    def _obstacles(self, request: MergeRequest, rules: Any) -> Iterator[MergeState]:  # noqa: ANN401
        if rules.get("user_can_merge") is False:
            yield MergeState(Readiness.REFUSED, f"the token may not merge into {rules['name']}")
        yield from self._reviews(request, int(rules.get("required_approvals") or 0))
        required = (
            (rules.get("status_check_contexts") or []) if rules["enable_status_check"] else []
        )
        everything = self._repository.checks == "all" or (
            rules["enable_status_check"] and not required
        )
        if required or everything:
            yield from self._statuses(request.head, required, everything=everything)

    def _reviews(self, request: MergeRequest, needed: int) -> Iterator[MergeState]:
        found = self._get(f"{self._path(request)}/reviews", params={"limit": _PAGE}).body or []
        states = {
            one["user"]["login"]: one["state"]
            for one in found
            if one.get("user") and not one.get("dismissed") and one["state"] in _VERDICTS
        }
        if any(state == "REQUEST_CHANGES" for state in states.values()):
            yield MergeState(Readiness.REFUSED, "a reviewer asks for changes")
        missing = needed - sum(state == "APPROVED" for state in states.values())
        if missing > 0:
            yield MergeState(Readiness.WAITING, f"{missing} of {needed} approvals are missing")

    def _statuses(
        self, head: str, required: list[str], *, everything: bool
    ) -> Iterator[MergeState]:
        found = self._get(f"/commits/{head}/status").body or {}
        states = {one["context"]: one["status"] for one in found.get("statuses") or []}
        for pattern in required:
            if not any(fnmatchcase(context, pattern) for context in states):
                yield MergeState(Readiness.WAITING, f"the check {pattern} has not begun")
        for context, state in states.items():
            if not everything and not any(fnmatchcase(context, one) for one in required):
                continue
            if state in ("failure", "error"):
                yield MergeState(Readiness.REFUSED, f"the check {context} has failed")
            if state == "pending":
                yield MergeState(Readiness.WAITING, f"the check {context} is running")

    def _style(self) -> str:
        method = self._repository.merge_method
        if method != "any":
            return method
        found = self._web.get(self._repository_path).body
        allowed = [style for style, key in _STYLES.items() if found.get(key)]
        default = found.get("default_merge_style")
        return default if default in allowed else (allowed or ["merge"])[0]

    def _branch(self, branch: str) -> Any:  # noqa: ANN401 - JSON
        return self._found(self._get(f"/branches/{quote(branch)}", 404))

    def _look(self, request: MergeRequest) -> MergeRequest:
        return _request(self._pull(request))

    def _pull(self, request: MergeRequest) -> Any:  # noqa: ANN401 - JSON
        return understood(self._get(self._path(request)), "number", "state", "head")

    def _path(self, request: MergeRequest) -> str:
        return f"/pulls/{request.number.removeprefix('#')}"

    def _authorization(self, token: str) -> Mapping[str, str]:
        return {"Authorization": f"token {token}"}


#: Reviews that say yes or no; comments do not.
_VERDICTS: Final = ("APPROVED", "REQUEST_CHANGES")


def _commit(found: Any) -> Commit:  # noqa: ANN401 - JSON
    parents = tuple(str(one["sha"]) for one in found["parents"] or [])
    return Commit(str(found["sha"]), parents, str(found["commit"]["message"]))


def _request(found: Any) -> MergeRequest:  # noqa: ANN401 - JSON
    state = RequestState.OPEN if found["state"] == "open" else RequestState.CLOSED
    return MergeRequest(
        f"#{found['number']}",
        str(found["html_url"]),
        RequestState.MERGED if found.get("merged") else state,
        str(found["head"]["sha"]),
        draft=bool(found.get("draft", False)),
    )
