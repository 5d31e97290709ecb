"""What the stand-ins of forges share: routes, tokens, Git underneath, and merges by real Git."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.support.hosting.bare import Bare
from tests.support.hosting.git_http import git_http
from tests.support.hosting.serving import Request, Response

#: Gets the request and the parts of its path.
Handler = Callable[..., Response]


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    handler: Handler


@dataclass
class Pull:
    """A pull request or merge request."""

    number: int
    source: str
    target: str
    title: str
    body: str = ""
    state: str = "open"
    #: Head of the branch when it was merged or its branch was deleted.
    last_head: str = ""
    merge_commit: str = ""
    auto_merge: bool = False

    @property
    def merged(self) -> bool:
        return self.state == "merged"


class Forge:
    """One repository behind a REST API and Git's own protocol."""

    #: Appended to the repository's path for Git's own protocol.
    owner, name = "team", "app"

    def __init__(self, root: Path, template: Bare, token: str) -> None:
        self.bare = Bare.copy_of(template, root / self.owner / f"{self.name}.git")
        self.token = token
        self.pulls: list[Pull] = []
        #: How often a request is looked at before its merge check is done.
        self.checks_pending = 0
        self.routes: list[Route] = []
        self._git = git_http(root, token)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def route(self, method: str, pattern: str, handler: Handler) -> None:
        self.routes.append(Route(method, re.compile(pattern), handler))

    def __call__(self, request: Request) -> Response:
        if request.path.startswith(f"/{self.full_name}.git/"):
            return self._git(request)
        if not self.authorized(request):
            return self.refuse(401, "401 Unauthorized")
        for route in self.routes:
            match = route.pattern.fullmatch(request.path)
            if match and route.method == request.method:
                parts = (unquote(part) for part in match.groups())
                return route.handler(request, *parts)
        return self.refuse(404, f"404 Not Found ({request})")

    def authorized(self, request: Request) -> bool:
        raise NotImplementedError

    def refuse(self, status: int, message: str) -> Response:
        return Response(status, {"message": message})

    def pull(self, number: str) -> Pull | None:
        return next((one for one in self.pulls if str(one.number) == number), None)

    def head_of(self, pull: Pull) -> str:
        return pull.last_head or self.bare.head(pull.source) or ""

    def remember_heads(self) -> None:
        """A branch that is deleted leaves its last head behind at its closed requests."""
        for pull in self.pulls:
            if pull.state != "open" and not pull.last_head:
                pull.last_head = self.bare.head(pull.source) or ""

    def conflicts(self, pull: Pull) -> bool:
        base, head = self.bare.head(pull.target), self.bare.head(pull.source)
        return bool(base and head) and self.bare.merged_tree(str(base), str(head)) is None

    def behind(self, pull: Pull) -> bool:
        return bool(self.bare.git("rev-list", f"{pull.source}..{pull.target}"))

    def merge(self, pull: Pull, style: str) -> None:
        pull.last_head = str(self.bare.head(pull.source))
        pull.merge_commit = self.bare.merge(pull.target, pull.last_head, style, pull.title)
        pull.state = "merged"

    def exists(self, oid: str) -> bool:
        found = self.bare.git("rev-parse", "-q", "--verify", f"{oid}^{{commit}}", check=False)
        return bool(found)

    def commits_between(self, base: str, head: str) -> list[str]:
        """The oldest first."""
        return self.bare.git("rev-list", "--reverse", "--topo-order", f"{base}..{head}").split()

    def details(self, oid: str) -> dict[str, Any]:
        """Author, message, parents and times of a commit."""
        shown = self.bare.git("show", "-s", "--format=%an%x00%ae%x00%cI%x00%B", oid)
        author, email, moment, message = shown.split("\0", 3)
        return {
            "author": author,
            "email": email,
            "moment": moment,
            "message": message,
            "parents": list(self.bare.parents(oid)),
        }
