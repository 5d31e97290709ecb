"""A bare repository on disk, and what a person does to it: real Git, by its command line."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

GIT: Final = shutil.which("git")
NO_GIT: Final = "needs git: apt-get install git"

_ENVIRONMENT: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "PATH": os.environ.get("PATH", os.defpath),
}
#: Commits of people are this old and a minute apart: none shares its time with another.
_FIRST_COMMIT: Final = 1_700_000_000


class Bare:
    """A bare repository; commits of a person are made in it without a working tree."""

    def __init__(self, path: Path, files: Mapping[str, bytes]) -> None:
        self.path = path
        self._clock = _FIRST_COMMIT
        path.mkdir(parents=True)
        self.git("init", "-q", "--bare", "--initial-branch=main")
        self.git("config", "http.receivepack", "true")
        self.git("config", "core.logAllRefUpdates", "always")
        self.commit("main", files, "First")

    @classmethod
    def copy_of(cls, template: "Bare", path: Path) -> "Bare":
        """Return a repository of its own with the same content; much faster than making one."""
        copy = cls.__new__(cls)
        copy.path = path
        copy._clock = template._clock
        shutil.copytree(template.path, path)
        return copy

    def git(
        self,
        *arguments: str,
        data: bytes | None = None,
        check: bool = True,
        **environment: str,
    ) -> str:
        """Run git in the repository; its output without the last newline."""
        assert GIT is not None, NO_GIT
        done = subprocess.run(
            [GIT, "-C", str(self.path), *arguments],
            input=data,
            env=_ENVIRONMENT | environment,
            capture_output=True,
            check=False,
        )
        if done.returncode and check:
            raise AssertionError(f"git {arguments[0]}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def head(self, branch: str) -> str | None:
        refs = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return refs.splitlines()[0] if refs else None

    def commit(
        self,
        branch: str,
        files: Mapping[str, bytes | None],
        message: str,
        *,
        parents: tuple[str, ...] | None = None,
        move: bool = True,
    ) -> str:
        """Commit as a person would; None deletes a file.  The commit becomes the branch's head."""
        if parents is None:
            head = self.head(branch)
            parents = (head,) if head else ()
        tree = self._tree(parents[-1] if parents else None, files)
        oid = self._commit_tree(tree, parents, message)
        if move:
            self.git("update-ref", f"refs/heads/{branch}", oid)
        return oid

    def file(self, revision: str, path: str) -> bytes:
        assert GIT is not None, NO_GIT
        return subprocess.run(
            [GIT, "-C", str(self.path), "cat-file", "blob", f"{revision}:{path}"],
            env=_ENVIRONMENT,
            capture_output=True,
            check=True,
        ).stdout

    def parents(self, oid: str) -> tuple[str, ...]:
        return tuple(self.git("rev-list", "--parents", "-1", oid).split()[1:])

    def count(self, revision: str) -> int:
        return int(self.git("rev-list", "--count", revision))

    def merged_tree(self, base: str, head: str) -> str | None:
        """Merge two commits; None when there is a conflict."""
        found = self.git("merge-tree", "--write-tree", base, head, check=False).splitlines()
        # A conflict is described by more lines than the tree.
        return found[0] if len(found) == 1 else None

    def merge(self, branch: str, head: str, style: str, title: str) -> str:
        """Merge as a forge does: ``merge``, ``squash``, ``rebase`` or ``fast-forward-only``."""
        base = str(self.head(branch))
        if style in ("rebase", "fast-forward-only") and self.is_ancestor(base, head):
            new = head
        else:
            parents = (base, head) if style == "merge" else (base,)
            tree = self.merged_tree(base, head)
            assert tree is not None, "there is a conflict"
            new = self._commit_tree(tree, parents, title)
        self.git("update-ref", f"refs/heads/{branch}", new, base)
        return new

    def is_ancestor(self, one: str, other: str) -> bool:
        return self.git("merge-base", one, other, check=False) == one

    def _commit_tree(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        self._clock += 60
        moment = f"{self._clock} +0000"
        return self.git(
            "commit-tree",
            tree,
            *(part for parent in parents for part in ("-p", parent)),
            "-F",
            "-",
            data=message.encode(),
            GIT_AUTHOR_DATE=moment,
            GIT_COMMITTER_DATE=moment,
        )

    def _tree(self, parent: str | None, files: Mapping[str, bytes | None]) -> str:
        index = {"GIT_INDEX_FILE": str(self.path / "index.tmp")}
        (self.path / "index.tmp").unlink(missing_ok=True)
        if parent:
            self.git("read-tree", parent, **index)
        lines = []
        for path, content in files.items():
            if content is None:
                lines.append(f"0 {'0' * 40}\t{path}\0")
                continue
            blob = self.git("hash-object", "-w", "--stdin", data=content)
            there = self.git("ls-tree", parent, "--", path).split() if parent else []
            lines.append(f"{there[0] if there else '100644'} {blob}\t{path}\0")
        self.git("update-index", "-z", "--index-info", data="".join(lines).encode(), **index)
        return self.git("write-tree", **index)
