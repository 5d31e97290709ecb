"""A stand-in for GitLab: the part of its REST API (v4) that a merge request needs.

Status codes and fields follow GitLab's documentation and source; `python-gitlab` drives it in the
tests, too.  Underneath is a real repository.
"""

from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from tests.support.hosting.bare import Bare
from tests.support.hosting.forge import Forge, Pull
from tests.support.hosting.serving import Request, Response

PROJECT_ID = 7
_RUNNING = ("created", "waiting_for_resource", "preparing", "pending", "running", "scheduled")


class GitLabForge(Forge):
    """One project."""

    def __init__(self, root: Path, template: Bare, token: str) -> None:
        super().__init__(root, template, token)
        self.merge_method = "merge"
        self.only_if_pipeline_succeeds = False
        #: Status of the pipeline of a commit.
        self.pipelines: dict[str, str] = {}
        self.approvals_required = 0
        self.approvals: dict[int, int] = {}
        #: Answers of ``detailed_merge_status`` by hand, for all that is not modelled.
        self.status_by_hand = ""
        self.may_push = True
        self.may_merge = True
        project = rf"/api/v4/projects/(?:{PROJECT_ID}|{self.owner}%2F{self.name})"
        requests = rf"{project}/merge_requests"
        self.route("GET", project, self._project)
        self.route("GET", rf"{project}/repository/branches/([^/]+)", self._branch)
        self.route("GET", rf"{project}/repository/commits/([^/]+)", self._commit)
        self.route("POST", rf"{project}/repository/commits", self._create_commit)
        self.route("GET", rf"{project}/repository/files/([^/]+)", self._file)
        self.route("GET", rf"{project}/repository/compare", self._compare)
        self.route("GET", rf"{project}/repository/merge_base", self._merge_base)
        self.route("GET", requests, self._list)
        self.route("POST", requests, self._open)
        self.route("GET", rf"{requests}/(\d+)", self._get)
        self.route("PUT", rf"{requests}/(\d+)", self._edit)
        self.route("PUT", rf"{requests}/(\d+)/merge", self._merge)
        self.route("GET", rf"{requests}/(\d+)/approvals", self._approvals)
        self.route("POST", rf"{requests}/(\d+)/approve", self._approve)

    def authorized(self, request: Request) -> bool:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.token in (request.headers.get("private-token"), bearer)

    def pipeline(self, branch: str, status: str) -> None:
        """A pipeline of a branch's head comes to a status; auto-merge may follow."""
        self.pipelines[str(self.bare.head(branch))] = status
        for pull in self.pulls:
            if pull.auto_merge and pull.state == "open" and self.status_of(pull) == "mergeable":
                self.merge(pull, "merge")

    def status_of(self, pull: Pull) -> str:
        """Answer ``detailed_merge_status``."""
        if pull.state != "open":
            return "not_open"
        if self.status_by_hand:
            return self.status_by_hand
        if self.checks_pending:
            return "checking"
        if pull.title.startswith("Draft: "):
            return "draft_status"
        pipeline = self.pipelines.get(self.head_of(pull))
        if self.only_if_pipeline_succeeds and pipeline != "success":
            return "ci_still_running" if pipeline in _RUNNING else "ci_must_pass"
        if self.approvals.get(pull.number, 0) < self.approvals_required:
            return "not_approved"
        if self.conflicts(pull):
            return "conflict"
        if self.merge_method == "ff" and self.behind(pull):
            return "need_rebase"
        return "mergeable"

    def _project(self, _request: Request) -> Response:
        body = {
            "id": PROJECT_ID,
            "name": self.name,
            "path_with_namespace": self.full_name,
            "default_branch": "main",
            "merge_method": self.merge_method,
            "only_allow_merge_if_pipeline_succeeds": self.only_if_pipeline_succeeds,
        }
        return Response(200, body)

    def _branch(self, _request: Request, name: str) -> Response:
        head = self.bare.head(name)
        if head is None:
            return self.refuse(404, "404 Branch Not Found")
        body = {
            "name": name,
            "commit": self._commit_body(head),
            "merged": False,
            "protected": name == "main",
            "default": name == "main",
            "can_push": self.may_push,
        }
        return Response(200, body)

    def _commit(self, _request: Request, oid: str) -> Response:
        if not self.exists(oid):
            return self.refuse(404, "404 Commit Not Found")
        return Response(200, self._commit_body(oid))

    def _create_commit(self, request: Request) -> Response:
        wanted = request.json
        branch, start = wanted["branch"], wanted.get("start_sha")
        if not self.may_push:
            return self.refuse(403, "403 Forbidden")
        head = self.bare.head(branch)
        if start and head and not wanted.get("force"):
            return self.refuse(
                400,
                f"A branch called '{branch}' already exists. Switch to that "
                "branch in order to make changes",
            )
        if not start and not head:
            return self.refuse(400, "You can only create or edit files when you are on a branch")
        parent = start or head
        if not self.exists(parent):
            return self.refuse(400, "The start_sha does not exist")
        files: dict[str, bytes | None] = {}
        for action in wanted["actions"]:
            path, kind = action["file_path"], action["action"]
            there = bool(self.bare.git("ls-tree", parent, "--", path))
            if kind == "create" and there:
                return self.refuse(400, "A file with this name already exists")
            if kind == "update" and not there:
                return self.refuse(400, "A file with this name doesn't exist")
            content = action["content"]
            is_base64 = action.get("encoding") == "base64"
            files[path] = b64decode(content) if is_base64 else content.encode()
        oid = self.bare.commit(
            branch, files, wanted["commit_message"], parents=(parent,), move=False
        )
        self.bare.git("update-ref", f"refs/heads/{branch}", oid, head or "0" * 40)
        return Response(201, self._commit_body(oid))

    def _file(self, request: Request, path: str) -> Response:
        ref = request.query["ref"][0]
        entry = self.bare.git("ls-tree", ref, "--", path, check=False).split()
        if len(entry) < 4 or entry[1] != "blob":
            return self.refuse(404, "404 File Not Found")
        content = self.bare.file(ref, path)
        body = {
            "file_name": path.rsplit("/", 1)[-1],
            "file_path": path,
            "size": len(content),
            "encoding": "base64",
            "content": b64encode(content).decode(),
            "ref": ref,
            "blob_id": entry[2],
            "commit_id": self.bare.git("rev-parse", ref),
            "last_commit_id": self.bare.git("log", "-1", "--format=%H", ref, "--", path),
            "execute_filemode": entry[0] == "100755",
        }
        return Response(200, body)

    def _compare(self, request: Request) -> Response:
        base, head = request.query["from"][0], request.query["to"][0]
        diffs = []
        if fork := self.bare.git("merge-base", base, head, check=False):
            shown = self.bare.git("diff", "--name-only", "-z", fork, head)
            names = [name for name in shown.split("\0") if name]
            diffs = [{"old_path": name, "new_path": name, "diff": ""} for name in names]
        oids = self.commits_between(base, head)
        body = {
            "commit": self._commit_body(oids[-1]) if oids else None,
            "commits": [self._commit_body(oid) for oid in oids],
            "diffs": diffs,
            "compare_timeout": False,
            "compare_same_ref": base == head,
        }
        return Response(200, body)

    def _merge_base(self, request: Request) -> Response:
        found = self.bare.git("merge-base", *request.query["refs[]"], check=False)
        if not found:
            return self.refuse(404, "404 Merge Base Not Found")
        return Response(200, self._commit_body(found))

    def _list(self, request: Request) -> Response:
        def is_wanted(pull: Pull) -> bool:
            state = request.query.get("state", ["all"])[0]
            return (
                request.query.get("source_branch", [pull.source]) == [pull.source]
                and request.query.get("target_branch", [pull.target]) == [pull.target]
                and state in ("all", self._state(pull))
            )

        newest_first = sorted(self.pulls, key=lambda pull: -pull.number)
        return Response(200, [self._body(one) for one in newest_first if is_wanted(one)])

    def _open(self, request: Request) -> Response:
        wanted = request.json
        source, target = wanted["source_branch"], wanted["target_branch"]
        for pull in self.pulls:
            if (pull.source, pull.target, pull.state) == (source, target, "open"):
                already = f"Another open merge request already exists: !{pull.number}"
                return Response(409, {"message": [already]})
        if not self.bare.head(source) or not self.bare.head(target):
            return self.refuse(400, "source_branch or target_branch does not exist")
        pull = Pull(len(self.pulls) + 1, source, target, wanted["title"])
        pull.body = wanted.get("description") or ""
        self.pulls.append(pull)
        return Response(201, self._body(pull))

    def _get(self, _request: Request, number: str) -> Response:
        pull = self.pull(number)
        if pull is None:
            return self.refuse(404, "404 Not found")
        body = self._body(pull)
        self.checks_pending = max(0, self.checks_pending - 1)
        return Response(200, body)

    def _edit(self, request: Request, number: str) -> Response:
        pull = self.pull(number)
        if pull is None:
            return self.refuse(404, "404 Not found")
        pull.title = request.json.get("title", pull.title)
        match request.json.get("state_event"):
            case "close" if pull.state == "open":
                pull.state = "closed"
            case "reopen" if pull.state == "closed":
                pull.state, pull.last_head = "open", ""
        self.remember_heads()
        return Response(200, self._body(pull))

    def _merge(self, request: Request, number: str) -> Response:
        pull = self.pull(number)
        if pull is None:
            return self.refuse(404, "404 Not found")
        if not self.may_merge:
            return self.refuse(401, "401 Unauthorized")
        wanted = request.json
        status = self.status_of(pull)
        automatic = wanted.get("auto_merge") or wanted.get("merge_when_pipeline_succeeds")
        if pull.state == "open" and wanted.get("sha", self.head_of(pull)) != self.head_of(pull):
            return self.refuse(
                409, f"SHA does not match HEAD of source branch: {self.head_of(pull)}"
            )
        if automatic and status == "ci_still_running":
            pull.auto_merge = True
            return Response(200, self._body(pull))
        if status in ("conflict", "need_rebase"):
            return self.refuse(422, "Branch cannot be merged")
        if status != "mergeable":
            return self.refuse(405, "405 Method Not Allowed")
        style = "squash" if wanted.get("squash") else self.merge_method
        self.merge(pull, "fast-forward-only" if style == "ff" else style)
        return Response(200, self._body(pull))

    def _approvals(self, _request: Request, number: str) -> Response:
        given = self.approvals.get(int(number), 0)
        body = {
            "iid": int(number),
            "approved": given >= self.approvals_required,
            "approvals_required": self.approvals_required,
            "approvals_left": max(0, self.approvals_required - given),
        }
        return Response(200, body)

    def _approve(self, _request: Request, number: str) -> Response:
        self.approvals[int(number)] = self.approvals.get(int(number), 0) + 1
        return Response(201, {"iid": int(number)})

    @staticmethod
    def _state(pull: Pull) -> str:
        return "opened" if pull.state == "open" else pull.state

    def _body(self, pull: Pull) -> dict[str, Any]:
        head = self.head_of(pull)
        status = self.status_of(pull)
        pipeline = self.pipelines.get(head)
        return {
            "id": 1000 + pull.number,
            "iid": pull.number,
            "project_id": PROJECT_ID,
            "source_project_id": PROJECT_ID,
            "target_project_id": PROJECT_ID,
            "title": pull.title,
            "description": pull.body,
            "state": self._state(pull),
            "source_branch": pull.source,
            "target_branch": pull.target,
            "draft": pull.title.startswith("Draft: "),
            "work_in_progress": pull.title.startswith("Draft: "),
            "merge_when_pipeline_succeeds": pull.auto_merge,
            "detailed_merge_status": status,
            "has_conflicts": pull.state == "open" and self.conflicts(pull),
            "sha": head,
            "merge_commit_sha": pull.merge_commit or None,
            "web_url": f"https://gitlab.example.com/{self.full_name}/-/merge_requests/{pull.number}",
            "head_pipeline": pipeline and {"id": 1, "sha": head, "status": pipeline},
        }

    def _commit_body(self, oid: str) -> dict[str, Any]:
        details = self.details(oid)
        return {
            "id": oid,
            "short_id": oid[:8],
            "parent_ids": details["parents"],
            "title": details["message"].split("\n", 1)[0],
            "message": details["message"],
            "author_name": details["author"],
            "author_email": details["email"],
            "committed_date": details["moment"],
        }
