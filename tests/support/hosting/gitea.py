"""A stand-in for Gitea and Forgejo: the part of their REST API (v1) that a pull request needs.

Status codes and fields follow Gitea's source and published API description; clients generated
from Gitea's and Forgejo's own descriptions drive it in the tests, too.  Underneath is real Git.
"""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tests.support.hosting.bare import Bare
from tests.support.hosting.forge import Forge, Pull
from tests.support.hosting.serving import Request, Response

_MOMENT = "2026-11-24T12:00:00Z"


@dataclass
class Review:
    """One person's word on a pull request."""

    number: int
    login: str
    state: str


class GiteaForge(Forge):
    """One repository."""

    def __init__(self, root: Path, template: Bare, token: str) -> None:
        super().__init__(root, template, token)
        self.required_checks: list[str] = []
        self.enable_status_check = False
        self.required_approvals = 0
        self.block_on_outdated = False
        self.user_can_merge = True
        self.merge_styles = ["merge", "squash", "rebase"]
        self.default_style = "merge"
        #: By commit: context and state.
        self.statuses: dict[str, dict[str, str]] = {}
        self.reviews: list[Review] = []
        repository = rf"/api/v1/repos/{self.owner}/{self.name}"
        pulls = rf"{repository}/pulls"
        self.route("GET", repository, self._repository)
        self.route("GET", rf"{repository}/branches/(.+)", self._branch)
        self.route("POST", rf"{repository}/branches", self._create_branch)
        self.route("GET", rf"{repository}/git/commits/(\w+)", self._commit)
        self.route("GET", rf"{repository}/contents/(.+)", self._contents)
        self.route("POST", rf"{repository}/contents", self._change)
        self.route("GET", rf"{repository}/compare/(\w+)\.\.\.(\w+)", self._compare)
        self.route("GET", rf"{repository}/commits/(\w+)/status", self._status)
        self.route("POST", rf"{repository}/statuses/(\w+)", self._set_status)
        self.route("GET", pulls, self._list)
        self.route("POST", pulls, self._open)
        self.route("GET", rf"{pulls}/(\d+)", self._get)
        self.route("PATCH", rf"{pulls}/(\d+)", self._edit)
        self.route("GET", rf"{pulls}/(\d+)/reviews", self._reviews)
        self.route("POST", rf"{pulls}/(\d+)/merge", self._merge)
        self.route("GET", rf"{pulls}/([^/]+)/(.+)", self._by_base_and_head)

    def authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return given in (f"token {self.token}", f"Bearer {self.token}")

    def status(self, branch: str, context: str, state: str) -> None:
        """A check of a branch's head comes to a state; auto-merge may follow."""
        self.statuses.setdefault(str(self.bare.head(branch)), {})[context] = state
        for pull in self.pulls:
            if pull.auto_merge and pull.state == "open" and not self.obstacle(pull):
                self.merge(pull, "merge")

    def review(self, number: int, login: str, state: str) -> None:
        self.reviews.append(Review(number, login, state))

    def obstacle(self, pull: Pull) -> str:
        """Say why branch protection does not let a pull request be merged."""
        states = self.statuses.get(self.head_of(pull), {})
        if self.enable_status_check:
            for pattern in self.required_checks:
                found = [state for name, state in states.items() if fnmatchcase(name, pattern)]
                if not found or any(state != "success" for state in found):
                    return "Not all required status checks successful"
        verdicts = {one.login: one.state for one in self.reviews if one.number == pull.number}
        if list(verdicts.values()).count("APPROVED") < self.required_approvals:
            return "Does not have enough approvals"
        if "REQUEST_CHANGES" in verdicts.values():
            return "There are requested changes"
        if self.block_on_outdated and self.behind(pull):
            return "The head branch is behind the base branch"
        return ""

    def mergeable(self, pull: Pull) -> bool:
        is_draft = pull.title.startswith("WIP: ")
        return not (is_draft or self.checks_pending or self.conflicts(pull))

    def _repository(self, _request: Request) -> Response:
        body = {
            "id": 1,
            "name": self.name,
            "full_name": self.full_name,
            "default_branch": "main",
            "allow_merge_commits": "merge" in self.merge_styles,
            "allow_squash_merge": "squash" in self.merge_styles,
            "allow_rebase": "rebase" in self.merge_styles,
            "allow_rebase_explicit": "rebase-merge" in self.merge_styles,
            "allow_fast_forward_only_merge": "fast-forward-only" in self.merge_styles,
            "default_merge_style": self.default_style,
        }
        return Response(200, body)

    def _branch(self, _request: Request, name: str) -> Response:
        head = self.bare.head(name)
        return Response(200, self._branch_body(name)) if head else self._missing()

    def _branch_body(self, name: str) -> dict[str, Any]:
        is_base = name == "main"
        return {
            "name": name,
            "commit": {"id": self.bare.head(name), "message": ""},
            "protected": is_base,
            "required_approvals": self.required_approvals if is_base else 0,
            "enable_status_check": self.enable_status_check and is_base,
            "status_check_contexts": self.required_checks if is_base else [],
            "user_can_push": not is_base,
            "user_can_merge": self.user_can_merge,
            "effective_branch_protection_name": "main" if is_base else "",
        }

    def _create_branch(self, request: Request) -> Response:
        name, old = request.json["new_branch_name"], request.json["old_ref_name"]
        if self.bare.head(name):
            return self.refuse(409, "The branch already exists.")
        if not self.exists(old):
            return self.refuse(404, "The old branch does not exist")
        self.bare.git("update-ref", f"refs/heads/{name}", old, "0" * 40)
        return Response(201, self._branch_body(name))

    def _commit(self, _request: Request, oid: str) -> Response:
        return Response(200, self._commit_body(oid)) if self.exists(oid) else self._missing()

    def _contents(self, request: Request, path: str) -> Response:
        ref = request.query["ref"][0]
        entry = self.bare.git("ls-tree", ref, "--", path, check=False).split()
        if len(entry) < 4:
            return self._missing()
        mode, kind, oid = entry[:3]
        if kind == "tree":
            return Response(200, [])
        if kind == "commit":
            return Response(200, {"type": "submodule", "path": path, "sha": oid})
        content = self.bare.file(ref, path)
        body = {
            "name": path.rsplit("/", 1)[-1],
            "path": path,
            "sha": oid,
            "type": "symlink" if mode == "120000" else "file",
            "size": len(content),
            "encoding": "base64",
            "content": b64encode(content).decode(),
        }
        return Response(200, body)

    def _change(self, request: Request) -> Response:
        wanted = request.json
        branch = wanted["branch"]
        head = self.bare.head(branch)
        if head is None:
            return self.refuse(404, f"branch does not exist [name: {branch}]")
        files: dict[str, bytes | None] = {}
        for change in wanted["files"]:
            entry = self.bare.git("ls-tree", head, "--", change["path"]).split()
            if change["operation"] == "create" and entry:
                return self.refuse(422, "repository file already exists")
            if change["operation"] == "update" and (not entry or entry[2] != change["sha"]):
                return self.refuse(422, "sha does not match")
            files[change["path"]] = b64decode(change["content"])
        oid = self.bare.commit(branch, files, wanted["message"], parents=(head,), move=False)
        self.bare.git("update-ref", f"refs/heads/{branch}", oid, head)
        commit = {
            "sha": oid,
            "message": wanted["message"],
            "parents": [{"sha": head, "url": ""}],
        }
        return Response(201, {"commit": commit, "files": []})

    def _compare(self, _request: Request, base: str, head: str) -> Response:
        if not self.exists(base) or not self.exists(head):
            return self._missing()
        oids = self.commits_between(base, head)[::-1]
        body = {
            "total_commits": len(oids),
            "commits": [self._commit_body(oid, files=True) for oid in oids],
        }
        return Response(200, body)

    def _status(self, _request: Request, oid: str) -> Response:
        states = self.statuses.get(oid, {})
        statuses = [
            {"id": index, "context": name, "status": state}
            for index, (name, state) in enumerate(states.items(), 1)
        ]
        bad = next((one for one in ("error", "failure", "pending") if one in states.values()), "")
        overall = bad or ("success" if states else "")
        body = {"state": overall, "sha": oid, "total_count": len(states), "statuses": statuses}
        return Response(200, body)

    def _set_status(self, request: Request, oid: str) -> Response:
        wanted = request.json
        self.statuses.setdefault(oid, {})[wanted["context"]] = wanted["state"]
        return Response(201, {"id": 1, "context": wanted["context"], "status": wanted["state"]})

    def _list(self, request: Request) -> Response:
        def is_wanted(pull: Pull) -> bool:
            state = request.query.get("state", ["open"])[0]
            base = request.query.get("base_branch", [pull.target])
            is_open = pull.state == "open"
            return base == [pull.target] and state in ("all", "open" if is_open else "closed")

        page = int(request.query.get("page", ["1"])[0])
        limit = int(request.query.get("limit", ["30"])[0])
        wanted = [one for one in self.pulls[::-1] if is_wanted(one)]
        shown = wanted[(page - 1) * limit : page * limit]
        return Response(200, [self._body(one) for one in shown])

    def _open(self, request: Request) -> Response:
        wanted = request.json
        source, target = wanted["head"], wanted["base"]
        for pull in self.pulls:
            if (pull.source, pull.target, pull.state) == (source, target, "open"):
                return self.refuse(409, "pull request already exists for these targets")
        if not self.bare.head(source) or not self.bare.head(target):
            return self._missing()
        pull = Pull(len(self.pulls) + 1, source, target, wanted["title"], wanted.get("body") or "")
        self.pulls.append(pull)
        return Response(201, self._body(pull))

    def _get(self, _request: Request, number: str) -> Response:
        pull = self.pull(number)
        if pull is None:
            return self._missing()
        body = self._body(pull)
        self.checks_pending = max(0, self.checks_pending - 1)
        return Response(200, body)

    def _by_base_and_head(self, _request: Request, base: str, head: str) -> Response:
        # The first one there ever was, as the query in Gitea has no order.
        for pull in self.pulls:
            if (pull.source, pull.target) == (head, base):
                return Response(200, self._body(pull))
        return self._missing()

    def _edit(self, request: Request, number: str) -> Response:
        pull = self.pull(number)
        if pull is None:
            return self._missing()
        pull.title = request.json.get("title") or pull.title
        if request.json.get("state") and pull.state != "merged":
            pull.state = request.json["state"]
        self.remember_heads()
        return Response(201, self._body(pull))

    def _reviews(self, _request: Request, number: str) -> Response:
        body = [
            {
                "id": index,
                "user": {"id": index, "login": one.login},
                "state": one.state,
                "official": True,
                "dismissed": False,
                "stale": False,
            }
            for index, one in enumerate(self.reviews, 1)
            if str(one.number) == number
        ]
        return Response(200, body)

    def _merge(self, request: Request, number: str) -> Response:
        pull = self.pull(number)
        if pull is None or pull.state == "closed":
            return self._missing()
        # Go's decoder does not look at case: ``Do`` is what older descriptions say, ``do`` newer.
        wanted = {name.lower(): value for name, value in request.json.items()}
        if not self.user_can_merge:
            return self.refuse(405, "User not allowed to merge PR")
        if pull.merged:
            return self.refuse(405, "")
        if pull.title.startswith("WIP: "):
            return self.refuse(405, "Work in progress PRs cannot be merged")
        if self.checks_pending or self.conflicts(pull):
            return self.refuse(405, "Please try again later")
        if obstacle := self.obstacle(pull):
            if wanted.get("merge_when_checks_succeed") and "status" in obstacle:
                status = 409 if pull.auto_merge else 201
                pull.auto_merge = True
                return Response(status, None)
            return self.refuse(405, obstacle)
        if wanted["do"] not in self.merge_styles:
            return self.refuse(405, f"{wanted['Do']} is not allowed")
        if wanted.get("head_commit_id") not in (None, "", self.head_of(pull)):
            return self.refuse(409, "head out of date")
        self.merge(pull, wanted["do"])
        return Response(200, None)

    def _missing(self) -> Response:
        return self.refuse(404, "The target couldn't be found.")

    def _body(self, pull: Pull) -> dict[str, Any]:
        head = self.head_of(pull)
        base = self.bare.head(pull.target)
        return {
            "id": 100 + pull.number,
            "number": pull.number,
            "state": "open" if pull.state == "open" else "closed",
            "title": pull.title,
            "body": pull.body,
            "html_url": f"https://gitea.example.com/{self.full_name}/pulls/{pull.number}",
            "draft": pull.title.startswith("WIP: "),
            "mergeable": pull.state == "open" and self.mergeable(pull),
            "merged": pull.merged,
            "merge_commit_sha": pull.merge_commit or None,
            "head": {"label": pull.source, "ref": pull.source, "sha": head, "repo_id": 1},
            "base": {"label": pull.target, "ref": pull.target, "sha": base, "repo_id": 1},
            "created_at": _MOMENT,
            "updated_at": _MOMENT,
        }

    def _commit_body(self, oid: str, *, files: bool = False) -> dict[str, Any]:
        details = self.details(oid)
        person = {"name": details["author"], "email": details["email"], "date": details["moment"]}
        body: dict[str, Any] = {
            "sha": oid,
            "created": details["moment"],
            "commit": {"message": details["message"], "author": person, "committer": person},
            "parents": [{"sha": parent, "url": ""} for parent in details["parents"]],
        }
        if files:
            shown = self.bare.git(
                "show", "-m", "--first-parent", "--name-only", "-z", "--format=", oid
            )
            names = [name.strip("\n") for name in shown.split("\0") if name.strip("\n")]
            body["files"] = [{"filename": name, "status": "modified"} for name in names]
        return body
