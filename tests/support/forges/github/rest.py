"""The REST endpoints that a version pin needs, and those that PyGithub needs to drive us."""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.forges.github.bodies import Bodies
from tests.support.forges.github.forge import ROBOT, Forge, Refused
from tests.support.forges.store import MovedError

Query = Mapping[str, str]
Handler = Callable[..., tuple[int, Any]]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        _ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return add


class Rest:
    """Answers what comes below ``/repos/OWNER/NAME``."""

    def __init__(self, forge: Forge, bodies: Bodies) -> None:
        self.forge = forge
        self.store = forge.store
        self.bodies = bodies

    def answer(self, method: str, path: str, query: Query, body: Any) -> tuple[int, Any]:
        for verb, pattern, handler in _ROUTES:
            match = pattern.fullmatch(path)
            if verb == method and match is not None:
                return handler(self, *match.groups(), query=query, body=body)
        raise Refused(404, "Not Found")

    def _head(self, branch: str) -> str:
        head = self.store.head(branch)
        if head is None:
            raise Refused(404, "Not Found")
        return head

    def _known(self, oid: str) -> str:
        if not self.store.has(oid):
            raise Refused(422, "Object does not exist")
        return oid

    @route("GET", "")
    def about(self, *, query: Query, body: Any) -> tuple[int, Any]:
        return 200, self.bodies.repository()

    @route("GET", "/git/ref/heads/(.+)")
    def ref(self, branch: str, *, query: Query, body: Any) -> tuple[int, Any]:
        return 200, self.bodies.ref(branch, self._head(branch))

    @route("POST", "/git/refs")
    def create_ref(self, *, query: Query, body: Any) -> tuple[int, Any]:
        branch = body["ref"].removeprefix("refs/heads/")
        if self.forge.rules.closed_to_creation:
            raise Refused(422, "Repository rule violations found")
        try:
            self.store.move(branch, None, self._known(body["sha"]))
        except MovedError:
            raise Refused(422, "Reference already exists") from None
        return 201, self.bodies.ref(branch, body["sha"])

    @route("PATCH", "/git/refs/heads/(.+)")
    def move_ref(self, branch: str, *, query: Query, body: Any) -> tuple[int, Any]:
        head, oid = self.store.head(branch), self._known(body["sha"])
        if head is None:
            raise Refused(422, "Reference does not exist")
        if not body.get("force") and head not in self.store.ancestors(oid):
            raise Refused(422, "Update is not a fast forward")
        self.store.move(branch, head, oid)
        self.forge.moved(branch)
        return 200, self.bodies.ref(branch, oid)

    @route("DELETE", "/git/refs/heads/(.+)")
    def delete_ref(self, branch: str, *, query: Query, body: Any) -> tuple[int, Any]:
        if self.store.head(branch) is None:
            raise Refused(422, "Reference does not exist")
        self.forge.delete_branch(branch)
        return 204, None

    @route("GET", "/git/commits/([0-9a-f]{40})")
    def git_commit(self, oid: str, *, query: Query, body: Any) -> tuple[int, Any]:
        return 200, self.bodies.git_commit(oid)

    @route("POST", "/git/commits")
    def create_commit(self, *, query: Query, body: Any) -> tuple[int, Any]:
        author = body.get("author")
        name = f"{author['name']} <{author['email']}>" if author else ROBOT
        parents = tuple(self._known(parent) for parent in body.get("parents", ()))
        oid = self.store.commit(self._known(body["tree"]), parents, body["message"], name)
        if author is None:
            self.forge.signed.add(oid)
        return 201, self.bodies.git_commit(oid)

    @route("GET", "/git/blobs/([0-9a-f]{40})")
    def blob(self, oid: str, *, query: Query, body: Any) -> tuple[int, Any]:
        return 200, self.bodies.blob(oid)

    @route("POST", "/git/blobs")
    def create_blob(self, *, query: Query, body: Any) -> tuple[int, Any]:
        content = body["content"]
        is_binary = body.get("encoding") == "base64"
        oid = self.store.blob(base64.b64decode(content) if is_binary else content.encode())
        return 201, {"sha": oid, "url": f"{self.bodies.url}/git/blobs/{oid}"}

    @route("GET", "/git/trees/([0-9a-f]{40})")
    def tree(self, oid: str, *, query: Query, body: Any) -> tuple[int, Any]:
        root = self.store.tree_of(oid) if self.store.repo[oid.encode()].type_num == 1 else oid
        return 200, self.bodies.tree(root)

    @route("POST", "/git/trees")
    def create_tree(self, *, query: Query, body: Any) -> tuple[int, Any]:
        entries = {
            entry["path"]: (
                int(entry["mode"], 8),
                entry["sha"] if "sha" in entry else self.store.blob(entry["content"].encode()),
            )
            for entry in body["tree"]
        }
        return 201, self.bodies.tree(self.store.tree_with(body.get("base_tree"), entries))

    @route("GET", r"/compare/([0-9a-f]{40})\.\.\.([0-9a-f]{40})")
    def compare(self, base: str, head: str, *, query: Query, body: Any) -> tuple[int, Any]:
        if not (self.store.has(base) and self.store.has(head) and self.store.fork(base, head)):
            raise Refused(404, "No common ancestor")
        return 200, self.bodies.comparison(base, head)

    @route("GET", "/branches/(.+)")
    def branch(self, branch: str, *, query: Query, body: Any) -> tuple[int, Any]:
        return 200, self.bodies.branch(branch, self._head(branch))

    @route("GET", "/rules/branches/(.+)")
    def rules(self, branch: str, *, query: Query, body: Any) -> tuple[int, Any]:
        if not self.forge.rules.has_rulesets:
            raise Refused(403, "Upgrade to GitHub Pro or make this repository public")
        return 200, self.bodies.rules()

    @route("GET", "/pulls")
    def pulls(self, *, query: Query, body: Any) -> tuple[int, Any]:
        state, wanted = query.get("state", "open"), query.get("head", ":").partition(":")[2]
        found = [
            pull
            for pull in reversed(self.forge.pulls)
            if state in ("all", pull.state)
            and wanted in ("", pull.branch)
            and query.get("base", pull.base) == pull.base
        ]
        count, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        shown = found[count * (page - 1) : count * page]
        return 200, [self.bodies.pull(pull) for pull in shown]

    @route("POST", "/pulls")
    def open_pull(self, *, query: Query, body: Any) -> tuple[int, Any]:
        head, draft = body["head"].rpartition(":")[2], body.get("draft", False)
        text = body.get("body") or ""
        pull = self.forge.open(head, body["base"], body["title"], text, draft=draft)
        return 201, self.bodies.full_pull(pull)

    @route("GET", r"/pulls/(\d+)")
    def pull(self, number: str, *, query: Query, body: Any) -> tuple[int, Any]:
        return 200, self.bodies.full_pull(self.forge.pull(int(number)))

    @route("PATCH", r"/pulls/(\d+)")
    def change_pull(self, number: str, *, query: Query, body: Any) -> tuple[int, Any]:
        pull = self.forge.pull(int(number))
        if body.get("state") == "closed" and pull.state == "open":
            self.forge.close(pull.number)
        pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
        return 200, self.bodies.full_pull(pull)

    @route("PUT", r"/pulls/(\d+)/merge")
    def merge(self, number: str, *, query: Query, body: Any) -> tuple[int, Any]:
        pull = self.forge.pull(int(number))
        if self.forge.rules.has_queue:
            raise Refused(405, "Changes must be made through the merge queue")
        oid = self.forge.merge(pull, body.get("merge_method", "merge"), body.get("sha"))
        return 200, {"sha": oid, "merged": True, "message": "Pull Request successfully merged"}

    @route("GET", r"/pulls/(\d+)/merge")
    def is_merged(self, number: str, *, query: Query, body: Any) -> tuple[int, Any]:
        if self.forge.pull(int(number)).merged is None:
            raise Refused(404, "Not Found")
        return 204, None
