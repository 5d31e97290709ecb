"""Bodies of answers, with every member that GitHub's description requires."""

import base64
from datetime import UTC, datetime
from typing import Any

from tests.support.forges.github.forge import Check, Forge, Pull

_REPOSITORY_URLS = (
    "archive assignees blobs branches collaborators comments commits compare contents contributors "
    "deployments downloads events forks git_commits git_refs git_tags hooks issue_comment "
    "issue_events issues keys labels languages merges milestones notifications pulls releases "
    "stargazers statuses subscribers subscription tags teams trees"
)
_USER_URLS = (
    "followers following gists starred subscriptions organizations repos events received_events"
)
_PULL_URLS = "diff patch issue commits review_comments review_comment comments statuses"
_COUNTS = (
    "forks forks_count stargazers_count watchers_count watchers size open_issues "
    "open_issues_count network_count subscribers_count"
)
_FLAGS = "private fork has_projects has_wiki has_pages has_downloads has_discussions disabled"
WHEN = "2026-11-24T12:00:00Z"


class Bodies:
    """Builds them for one repository."""

    def __init__(self, forge: Forge, root: str) -> None:
        self._forge = forge
        self._root = root

    @property
    def url(self) -> str:
        return f"{self._root}/repos/{self._forge.name}"

    def user(self, login: str = "rotation[bot]") -> dict[str, Any]:
        url = f"{self._root}/users/{login}"
        return {
            "login": login,
            "id": 1,
            "node_id": "U_1",
            "avatar_url": url,
            "gravatar_id": None,
            "url": url,
            "html_url": url,
            "type": "Bot",
            "site_admin": False,
            **{f"{name}_url": f"{url}/{name}" for name in _USER_URLS.split()},
        }

    def repository(self) -> dict[str, Any]:
        owner, name = self._forge.name.split("/")
        methods = self._forge.rules.methods
        return {
            "id": 7,
            "node_id": "R_7",
            "name": name,
            "full_name": self._forge.name,
            "owner": self.user(owner),
            "url": self.url,
            "html_url": self.url,
            "git_url": self.url,
            "ssh_url": self.url,
            "clone_url": self.url,
            "svn_url": self.url,
            "mirror_url": None,
            "homepage": None,
            "language": None,
            "description": None,
            "license": None,
            "default_branch": "main",
            "has_issues": True,
            "archived": self._forge.archived,
            "pushed_at": WHEN,
            "created_at": WHEN,
            "updated_at": WHEN,
            "allow_merge_commit": "merge" in methods,
            "allow_squash_merge": "squash" in methods,
            "allow_rebase_merge": "rebase" in methods,
            "allow_auto_merge": self._forge.rules.allow_auto_merge,
            **{f"{name}_url": f"{self.url}/{name}" for name in _REPOSITORY_URLS.split()},
            **dict.fromkeys(_COUNTS.split(), 0),
            **dict.fromkeys(_FLAGS.split(), False),
        }

    def ref(self, branch: str, oid: str) -> dict[str, Any]:
        name = f"refs/heads/{branch}"
        kind = {"type": "commit", "sha": oid, "url": f"{self.url}/git/commits/{oid}"}
        return {"ref": name, "node_id": "REF_1", "url": f"{self.url}/git/{name}", "object": kind}

    def git_commit(self, oid: str) -> dict[str, Any]:
        store = self._forge.store
        commit = store.get(oid)
        name, _, email = commit.author.decode().rstrip(">").partition(" <")
        when = datetime.fromtimestamp(commit.commit_time, UTC).isoformat()
        person = {"name": name, "email": email, "date": when}
        verified = oid in self._forge.signed
        return {
            **self._object("commits", oid),
            "html_url": f"{self.url}/commit/{oid}",
            "author": person,
            "committer": person,
            "message": store.message(oid),
            "tree": {"sha": store.tree_of(oid), "url": self.url},
            "parents": [
                {"sha": parent, "url": self.url, "html_url": self.url}
                for parent in store.parents(oid)
            ],
            "verification": {
                "verified": verified,
                "reason": "valid" if verified else "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        }

    def commit(self, oid: str) -> dict[str, Any]:
        inner = self.git_commit(oid)
        return {
            "url": f"{self.url}/commits/{oid}",
            "sha": oid,
            "node_id": f"C_{oid}",
            "html_url": inner["html_url"],
            "comments_url": f"{self.url}/commits/{oid}/comments",
            "commit": {
                "url": inner["url"],
                "author": inner["author"],
                "committer": inner["committer"],
                "message": inner["message"],
                "comment_count": 0,
                "tree": inner["tree"],
            },
            "author": self.user(),
            "committer": self.user(),
            "parents": inner["parents"],
        }

    def comparison(self, base: str, head: str) -> dict[str, Any]:
        store = self._forge.store
        fork = store.fork(base, head)
        assert fork is not None
        ahead, behind = store.ahead(base, head), store.ahead(head, base)
        words = {(True, True): "diverged", (True, False): "ahead", (False, True): "behind"}
        names = ("url", "html_url", "permalink_url", "diff_url", "patch_url")
        return {
            **dict.fromkeys(names, f"{self.url}/compare/{base}...{head}"),
            "base_commit": self.commit(base),
            "merge_base_commit": self.commit(fork),
            "status": words.get((bool(ahead), bool(behind)), "identical"),
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [self.commit(oid) for oid in ahead],
            "files": [
                self._file(status, path, fork, head) for status, path in store.changes(fork, head)
            ],
        }

    def _file(self, status: str, path: str, fork: str, head: str) -> dict[str, Any]:
        entry = self._forge.store.entry(head, path) or self._forge.store.entry(fork, path)
        assert entry is not None
        names = ("blob_url", "raw_url", "contents_url")
        counts = {"additions": 1, "deletions": 1, "changes": 2}
        urls = dict.fromkeys(names, f"{self.url}/contents/{path}")
        return {"sha": entry[1], "filename": path, "status": status, **counts, **urls}

    def branch(self, name: str, oid: str) -> dict[str, Any]:
        url = f"{self.url}/branches/{name}"
        checks = list(self._forge.rules.protected_checks)
        required = {"enforcement_level": "everyone", "contexts": checks, "checks": []}
        return {
            "name": name,
            "commit": self.commit(oid),
            "_links": {"html": url, "self": url},
            "protected": bool(checks),
            "protection": {"enabled": bool(checks), "required_status_checks": required},
            "protection_url": f"{url}/protection",
        }

    def rules(self) -> list[dict[str, Any]]:
        rules = self._forge.rules
        found: list[dict[str, Any]] = []
        if rules.checks:
            checks = [{"context": name} for name in rules.checks]
            strict = {"strict_required_status_checks_policy": rules.strict}
            parameters = {"required_status_checks": checks, **strict}
            found.append({"type": "required_status_checks", "parameters": parameters})
        if rules.reviews:
            parameters = {
                "required_approving_review_count": rules.reviews,
                "dismiss_stale_reviews_on_push": False,
                "require_code_owner_review": False,
                "require_last_push_approval": False,
                "required_review_thread_resolution": False,
                "allowed_merge_methods": list(rules.methods),
            }
            found.append({"type": "pull_request", "parameters": parameters})
        if rules.has_queue:
            numbers = (
                "check_response_timeout_minutes max_entries_to_build max_entries_to_merge "
                "min_entries_to_merge min_entries_to_merge_wait_minutes"
            )
            parameters = {
                **dict.fromkeys(numbers.split(), 1),
                "grouping_strategy": "ALLGREEN",
                "merge_method": rules.methods[0].upper(),
            }
            found.append({"type": "merge_queue", "parameters": parameters})
        if rules.signed:
            found.append({"type": "required_signatures"})
        source = {"ruleset_source_type": "Repository", "ruleset_source": self._forge.name}
        return [{**rule, **source, "ruleset_id": 1} for rule in found]

    def pull(self, pull: Pull) -> dict[str, Any]:
        """Return a request as it stands in a list."""
        url = f"{self.url}/pulls/{pull.number}"
        head, base = self._forge.heads(pull)
        ended = None if pull.state == "open" else WHEN
        links = ("comments", "commits", "statuses", "html", "issue", "review_comments",
                 "review_comment", "self")  # fmt: skip
        return {
            "id": pull.number,
            "node_id": f"PR_{pull.number}",
            "number": pull.number,
            "url": url,
            "html_url": f"{self._root}/{self._forge.name}/pull/{pull.number}",
            **{f"{name}_url": f"{url}/{name}" for name in _PULL_URLS.split()},
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "body": pull.body,
            "user": self.user(),
            "labels": [],
            "milestone": None,
            "assignee": None,
            "created_at": WHEN,
            "updated_at": WHEN,
            "closed_at": ended,
            "merged_at": WHEN if pull.merged else None,
            "merge_commit_sha": pull.merged,
            "head": self._side(pull.branch, head),
            "base": self._side(pull.base, base),
            "_links": {name: {"href": url} for name in links},
            "author_association": "NONE",
            "auto_merge": self._auto_merge(pull),
            "draft": pull.draft,
        }

    def full_pull(self, pull: Pull) -> dict[str, Any]:
        """Return a request as it stands alone."""
        mergeable = self._forge.mergeable(pull)
        state = "unknown" if mergeable == "UNKNOWN" else self._forge.blocked(pull).lower()
        counts = "comments review_comments commits additions deletions changed_files"
        return {
            **self.pull(pull),
            "merged": pull.merged is not None,
            "merged_by": self.user() if pull.merged else None,
            "mergeable": None if mergeable == "UNKNOWN" else mergeable == "MERGEABLE",
            "mergeable_state": "draft" if pull.draft else state,
            "rebaseable": None,
            "maintainer_can_modify": False,
            **dict.fromkeys(counts.split(), 1),
        }

    def _side(self, branch: str, oid: str) -> dict[str, Any]:
        owner = self._forge.name.split("/")[0]
        repository = {**self.repository()}
        # The schema of a request's repository knows no such member as null.
        return {
            "label": f"{owner}:{branch}",
            "ref": branch,
            "sha": oid,
            "user": self.user(owner),
            "repo": repository,
        }

    def _auto_merge(self, pull: Pull) -> dict[str, Any] | None:
        if not pull.auto_merge:
            return None
        texts = {"commit_title": "", "commit_message": ""}
        return {"enabled_by": self.user(), "merge_method": pull.auto_merge, **texts}

    def blob(self, oid: str) -> dict[str, Any]:
        data = self._forge.store.repo[oid.encode()].as_raw_string()
        # GitHub breaks the lines of base64.
        content = base64.encodebytes(data).decode()
        return {**self._object("blobs", oid), "size": len(data), "content": content,
                "encoding": "base64"}  # fmt: skip

    def tree(self, oid: str) -> dict[str, Any]:
        found = self._forge.store.repo[oid.encode()]
        entries = [
            {
                "path": entry.path.decode(),
                "mode": f"{entry.mode:06o}",
                "type": "tree" if entry.mode == 0o040000 else "blob",
                "sha": entry.sha.decode(),
                "url": self.url,
            }
            for entry in found.items()  # type: ignore[attr-defined]
        ]
        return {**self._object("trees", oid), "truncated": False, "tree": entries}

    def _object(self, kind: str, oid: str) -> dict[str, Any]:
        return {"sha": oid, "node_id": f"O_{oid}", "url": f"{self.url}/git/{kind}/{oid}"}

    def context(self, check: Check) -> dict[str, Any]:
        """Return a check as GraphQL shows it."""
        required = {*self._forge.rules.checks, *self._forge.rules.protected_checks}
        when = f"2026-11-24T12:{check.number // 60 % 60:02}:{check.number % 60:02}Z"
        common = {"isRequired": check.name in required}
        if check.is_status:
            state = check.conclusion or "PENDING"
            return {"__typename": "StatusContext", "context": check.name, "state": state,
                    "createdAt": when, **common}  # fmt: skip
        return {
            "__typename": "CheckRun",
            "name": check.name,
            "status": "COMPLETED" if check.conclusion else "IN_PROGRESS",
            "conclusion": check.conclusion or None,
            "startedAt": when,
            **common,
        }
