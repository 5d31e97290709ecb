"""A project on GitLab: gitlab.com or self-managed, by its REST API.

Rules of this module:
  1. A branch is made together with its commit, on the very commit the caller has read
     (``start_sha``): GitLab refuses where the branch is there.
  2. A merge names the head it is meant for (``sha``).
  3. ``detailed_merge_status`` decides, asked of the single merge request (lists are stale); a
     status this module does not know is waited for.
"""

from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from rotation.model.errors import PermanentError
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

_STATES: Final = {
    "opened": RequestState.OPEN,
    "locked": RequestState.OPEN,
    "merged": RequestState.MERGED,
    "closed": RequestState.CLOSED,
}
_DRAFT: Final = "Draft: "
#: More files or commits than this in a comparison, and GitLab may have left some out.
_SURE_FILES: Final = 500
_SURE_COMMITS: Final = 100
#: What a merge request that GitLab does not merge waits for, or why it never will.
_STATUSES: Final[Mapping[str, tuple[Readiness, str]]] = {
    "mergeable": (Readiness.READY, ""),
    "conflict": (Readiness.OUTDATED, "the target branch has moved: there is a conflict"),
    "need_rebase": (Readiness.OUTDATED, "the target branch has moved: a fast-forward is required"),
    "broken_status": (Readiness.OUTDATED, "the target branch has moved: it cannot be merged"),
    "checking": (Readiness.WAITING, "GitLab is checking whether it can be merged"),
    "unchecked": (Readiness.WAITING, "GitLab has yet to check whether it can be merged"),
    "preparing": (Readiness.WAITING, "GitLab is preparing it"),
    "approvals_syncing": (Readiness.WAITING, "GitLab is counting its approvals"),
    "ci_still_running": (Readiness.WAITING, "its pipeline is running"),
    "not_approved": (Readiness.WAITING, "an approval is missing"),
    "discussions_not_resolved": (Readiness.WAITING, "a thread is not resolved"),
    "merge_request_blocked": (Readiness.WAITING, "another merge request blocks it"),
    "blocked_status": (Readiness.WAITING, "another merge request blocks it"),
    "status_checks_must_pass": (Readiness.WAITING, "an external status check has not passed"),
    "external_status_checks": (Readiness.WAITING, "an external status check has not passed"),
    "merge_time": (Readiness.WAITING, "it may only be merged later"),
    "locked_paths": (Readiness.WAITING, "somebody has locked a file"),
    "locked_lfs_files": (Readiness.WAITING, "somebody has locked a file"),
    "security_policy_violations": (Readiness.WAITING, "a security policy holds it"),
    "security_policy_pipeline_check": (Readiness.WAITING, "a security policy holds it"),
    "policies_denied": (Readiness.REFUSED, "a policy denies it"),
    "requested_changes": (Readiness.REFUSED, "a reviewer asks for changes"),
    "commits_status": (Readiness.REFUSED, "its branch is gone or has no commits"),
    "jira_association_missing": (Readiness.REFUSED, "its title has to name a Jira issue"),
    "title_regex": (Readiness.REFUSED, "its title does not match the project's rule"),
    "not_open": (Readiness.REFUSED, "it is not open"),
}
#: What a head pipeline says that is not a success.
_PIPELINES: Final[Mapping[str, tuple[Readiness, str]]] = {
    "failed": (Readiness.REFUSED, "its pipeline has failed"),
    "canceled": (Readiness.WAITING, "its pipeline was cancelled; somebody can start it again"),
    "skipped": (Readiness.WAITING, "its pipeline was skipped; somebody can start it"),
    "manual": (Readiness.WAITING, "its pipeline waits for a person"),
}


class GitLab(Forge):
    """One project on GitLab."""

    runs_checks: ClassVar[bool] = True

    name = "GitLab"
    api_path = "/api/v4"
    git_user = "oauth2"

    @property
    def _repository_path(self) -> str:
        return f"/projects/{escaped(self._repository.location.path)}"

    def head(self, branch: str) -> str | None:
        """Return the commit a branch points to."""
        found = self._found(self._get(f"/repository/branches/{escaped(branch)}", 404))
        return None if found is None else str(found["commit"]["id"])

    def commit(self, oid: str) -> Commit:
        """Return one commit."""
        return _commit(understood(self._get(f"/repository/commits/{oid}"), "id", "parent_ids"))

    def find_request(self, branch: str, base: str) -> MergeRequest | None:
        """Return the newest merge request."""
        found = self._get(
            "/merge_requests",
            params={
                "source_branch": branch,
                "target_branch": base,
                "state": "all",
                "order_by": "created_at",
                "sort": "desc",
            },
        ).body
        # A fork may have a branch of the same name.
        own = (one for one in found if one["source_project_id"] == one["target_project_id"])
        newest = next(own, None)
        return None if newest is None else _request(newest)

    def open_request(
        self, branch: str, base: str, title: str, body: str, *, draft: bool
    ) -> MergeRequest:
        """Open a merge request, unless one is open."""
        found = self.find_request(branch, base)
        if found and found.state is RequestState.OPEN:
            return found
        wanted = {
            "source_branch": branch,
            "target_branch": base,
            "title": (_DRAFT if draft else "") + title,
            "description": body,
            "remove_source_branch": False,
        }
        answer = self._send("POST", "/merge_requests", 409, body=wanted)
        if answer.status != HTTPStatus.CONFLICT:
            return _request(understood(answer, "iid", "sha"))
        found = self.find_request(branch, base)
        if found and found.state is RequestState.OPEN:
            return found
        raise PermanentError(
            f"GitLab refuses a merge request from {branch} to {base} in {self._place}",
            remedy="look whether merge requests are enabled in the project",
            reason="forge-refused",
        )

    def make_ready(self, request: MergeRequest) -> None:
        """Take the draft mark from the title."""
        found = self._merge_request(request)
        if found.get("draft"):
            title = str(found["title"]).removeprefix(_DRAFT)
            self._send("PUT", self._path(request), body={"title": title})

    def merge_state(self, request: MergeRequest, base: str) -> MergeState:  # noqa: ARG002 - GitLab knows
        """Say what stands between a merge request and its merge; that it is a draft does not."""
        found = self._merge_request(request)
        if ended := self._ended(_request(found), request.head):
            return ended
        status = str(found.get("detailed_merge_status", "unchecked"))
        if status == "draft_status":
            status = self._behind_draft(found)
        readiness, reason = self._meaning(status, found)
        if readiness is Readiness.READY and self._repository.checks == "all":
            readiness, reason = _pipeline(found, required=False)
        return MergeState(readiness, reason)

    def merge(self, request: MergeRequest, base: str, head: str) -> MergeState:
        """Merge, or hand the merge request to auto-merge where that is wanted."""
        auto = self._repository.auto_merge
        wanted = {
            "sha": head,
            "should_remove_source_branch": False,
            **({"squash": True} if self._repository.merge_method == "squash" else {}),
            # The newer name, and the one of GitLab before 17.11.
            **({"auto_merge": True, "merge_when_pipeline_succeeds": True} if auto else {}),
        }
        refusals = (405, 406, 409, 422)
        answer = self._send("PUT", f"{self._path(request)}/merge", *refusals, body=wanted)
        if answer.status in refusals:
            return self._after_refusal(request, base, head)
        merged = _request(understood(answer, "iid", "state")).state is RequestState.MERGED
        if merged:
            return MergeState(Readiness.READY)
        return MergeState(Readiness.WAITING, f"GitLab merges {request.number} when it may")

    def close_request(self, request: MergeRequest) -> None:
        """Close without merging."""
        if self._look(request).state is RequestState.OPEN:
            self._send("PUT", self._path(request), body={"state_event": "close"})

    def _content(self, oid: str, path: str) -> Any:  # noqa: ANN401 - JSON
        answer = self._get(f"/repository/files/{escaped(path)}", 404, params={"ref": oid})
        return self._found(answer)

    def _compared(self, base: str, head: str) -> Comparison | None:
        found = self._get("/repository/compare", params={"from": base, "to": head}).body
        commits, diffs = found["commits"], found["diffs"]
        # GitLab leaves out what is too much.
        cut = len(diffs) >= _SURE_FILES or len(commits) >= _SURE_COMMITS
        if cut or found.get("compare_timeout"):
            return None
        shared = self._get("/repository/merge_base", 404, params={"refs[]": [base, head]})
        fork = self._found(shared)
        paths = {one[side] for one in diffs for side in ("old_path", "new_path")}
        return Comparison(
            fork and str(fork["id"]), oldest_first(map(_commit, commits)), frozenset(paths)
        )

    def _create(self, branch: str, parent: str, files: Files) -> str | None:
        actions = [
            {
                "action": "create" if self._content(parent, path) is None else "update",
                "file_path": path,
                "content": b64encode(content).decode(),
                "encoding": "base64",
            }
            for path, content in files.content.items()
        ]
        wanted = {
            "branch": branch,
            "start_sha": parent,
            "commit_message": files.message,
            "actions": actions,
        }
        answer = self._send("POST", "/repository/commits", 400, body=wanted)
        if answer.status == HTTPStatus.BAD_REQUEST:
            return None
        return str(understood(answer, "id")["id"])

    def _look(self, request: MergeRequest) -> MergeRequest:
        return _request(self._merge_request(request))

    def _merge_request(self, request: MergeRequest) -> Any:  # noqa: ANN401 - JSON
        return understood(self._get(self._path(request)), "iid", "state", "sha")

    def _meaning(self, status: str, found: Any) -> tuple[Readiness, str]:  # noqa: ANN401 - JSON
        if status == "ci_must_pass":
            return _pipeline(found, required=True)
        unknown = (Readiness.WAITING, f"GitLab says {status}")
        return _STATUSES.get(status, unknown)

    def _behind_draft(self, found: Any) -> str:  # noqa: ANN401 - JSON
        """Return the status that a draft would have if it were not one, as far as it is known."""
        if found.get("has_conflicts"):
            return "conflict"
        approvals = self._get(f"/merge_requests/{found['iid']}/approvals", 404).body
        if approvals.get("approved") is False:
            return "not_approved"
        project = self._web.get(self._repository_path).body
        if project.get("only_allow_merge_if_pipeline_succeeds"):
            readiness, _ = _pipeline(found, required=True)
            return "mergeable" if readiness is Readiness.READY else "ci_must_pass"
        return "mergeable"

    def _path(self, request: MergeRequest) -> str:
        return f"/merge_requests/{request.number.removeprefix('!')}"

    def _authorization(self, token: str) -> Mapping[str, str]:
        return {"PRIVATE-TOKEN": token}


def _commit(found: Any) -> Commit:  # noqa: ANN401 - JSON
    return Commit(str(found["id"]), tuple(found["parent_ids"]), str(found["message"]))


def _request(found: Any) -> MergeRequest:  # noqa: ANN401 - JSON
    return MergeRequest(
        f"!{found['iid']}",
        str(found["web_url"]),
        _STATES[found["state"]],
        str(found["sha"]),
        draft=bool(found.get("draft", False)),
    )


def _pipeline(found: Any, *, required: bool) -> tuple[Readiness, str]:  # noqa: ANN401 - JSON
    pipeline = found.get("head_pipeline") or found.get("pipeline")
    if pipeline is None:
        return (Readiness.WAITING, "it has no pipeline yet") if required else (Readiness.READY, "")
    status = str(pipeline["status"])
    if status == "success":
        return Readiness.READY, ""
    return _PIPELINES.get(status, (Readiness.WAITING, f"its pipeline is {status}"))
