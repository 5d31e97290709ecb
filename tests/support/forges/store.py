"""A Git repository in memory: real objects, references with compare-and-set, three-way merges.

What the forge stand-ins and their "people" work on.  Every commit is a real one, so that a
history that cannot be is impossible here, too.
"""

import threading
from collections.abc import Mapping

from dulwich.diff_tree import tree_changes
from dulwich.graph import find_merge_base
from dulwich.merge import three_way_merge
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import MemoryRepo

PLAIN, EXECUTABLE, SYMLINK = 0o100644, 0o100755, 0o120000


class MovedError(Exception):
    """A reference is not where the caller saw it."""


class Store:
    """One repository."""

    def __init__(self, files: Mapping[str, bytes], base: str = "main") -> None:
        self.repo = MemoryRepo()
        self.lock = threading.RLock()
        #: Seconds since the epoch; each commit gets one more, so that no two are the same.
        self._clock = 1_800_000_000
        tree = self.tree(None, dict.fromkeys(files, PLAIN), files)
        self.move(base, None, self.commit(tree, (), "Start"))

    def head(self, branch: str) -> str | None:
        oid = self.repo.refs.as_dict(b"refs/heads").get(branch.encode())
        return oid.decode() if oid else None

    def branches(self) -> dict[str, str]:
        found = self.repo.refs.as_dict(b"refs/heads")
        return {name.decode(): oid.decode() for name, oid in found.items()}

    def move(self, branch: str, known_head: str | None, oid: str | None) -> None:
        """Move, make (``seen`` None) or delete (``oid`` None) a branch."""
        with self.lock:
            if self.head(branch) != known_head:
                raise MovedError(branch)
            name = f"refs/heads/{branch}".encode()
            if oid is None:
                del self.repo.refs[name]
            else:
                self.repo.refs[name] = oid.encode()

    def get(self, oid: str) -> Commit:
        commit = self.repo[oid.encode()]
        assert isinstance(commit, Commit)
        return commit

    def has(self, oid: str) -> bool:
        return oid.encode() in self.repo.object_store

    def parents(self, oid: str) -> tuple[str, ...]:
        return tuple(parent.decode() for parent in self.get(oid).parents)

    def message(self, oid: str) -> str:
        return self.get(oid).message.decode()

    def commit(
        self, tree: str, parents: tuple[str, ...], message: str, author: str = "Ann <ann@example>"
    ) -> str:
        with self.lock:
            self._clock += 1
            commit = Commit()
            commit.tree = tree.encode()
            commit.parents = [parent.encode() for parent in parents]
            commit.author = commit.committer = author.encode()
            commit.author_time = commit.commit_time = self._clock
            commit.author_timezone = commit.commit_timezone = 0
            commit.encoding = b"UTF-8"
            commit.message = message.encode()
            self.repo.object_store.add_object(commit)
            return commit.id.decode()

    def blob(self, content: bytes) -> str:
        blob = Blob.from_string(content)
        self.repo.object_store.add_object(blob)
        return blob.id.decode()

    def tree_of(self, oid: str) -> str:
        return self.get(oid).tree.decode()

    def tree(
        self, base: str | None, modes: Mapping[str, int], files: Mapping[str, bytes | None]
    ) -> str:
        """Return a tree: ``base`` with files added, changed, or (None) deleted."""
        blobs = {
            path: (modes[path], None if content is None else self.blob(content))
            for path, content in files.items()
        }
        return self.tree_with(base, blobs)

    def tree_with(self, base: str | None, entries: Mapping[str, tuple[int, str | None]]) -> str:
        tree = self.repo[base.encode()].copy() if base else Tree()
        assert isinstance(tree, Tree)
        below: dict[str, dict[str, tuple[int, str | None]]] = {}
        for path, (mode, blob) in entries.items():
            name, _, rest = path.partition("/")
            if rest:
                below.setdefault(name, {})[rest] = (mode, blob)
            elif blob is not None:
                tree.add(name.encode(), mode, blob.encode())
            elif name.encode() in tree:
                del tree[name.encode()]
        for name, inner in below.items():
            there = tree[name.encode()][1].decode() if name.encode() in tree else None
            tree.add(name.encode(), 0o040000, self.tree_with(there, inner).encode())
        self.repo.object_store.add_object(tree)
        return tree.id.decode()

    def entry(self, oid: str, path: str) -> tuple[int, str] | None:
        """Return mode and id of a path; the root is the empty path."""
        found = (0o040000, self.tree_of(oid))
        for name in filter(None, path.split("/")):
            tree = self.repo[found[1].encode()]
            if not isinstance(tree, Tree) or name.encode() not in tree:
                return None
            mode, sha = tree[name.encode()]
            found = (mode, sha.decode())
        return found

    def read(self, oid: str, path: str) -> bytes | None:
        entry = self.entry(oid, path)
        if entry is None:
            return None
        blob = self.repo[entry[1].encode()]
        return blob.data if isinstance(blob, Blob) else None

    def ancestors(self, oid: str) -> set[str]:
        """Return the commit and everything behind it."""
        found, waiting = set(), [oid]
        while waiting:
            commit = waiting.pop()
            if commit not in found:
                found.add(commit)
                waiting += self.parents(commit)
        return found

    def fork(self, base: str, head: str) -> str | None:
        found = find_merge_base(self.repo, [base.encode(), head.encode()])
        return found[0].decode() if found else None

    def ahead(self, base: str, head: str) -> list[str]:
        """Return what ``head`` has and ``base`` has not, the oldest first."""
        missing = self.ancestors(head) - self.ancestors(base)
        return sorted(missing, key=lambda oid: self.get(oid).commit_time)

    def changes(self, fork: str, head: str) -> list[tuple[str, str]]:
        """Return status and path of each file that differs."""
        one, other = (self.tree_of(oid).encode() for oid in (fork, head))
        words = {"add": "added", "delete": "removed", "modify": "modified"}
        return [
            (words.get(change.type, "changed"), (change.new or change.old).path.decode())
            for change in tree_changes(self.repo.object_store, one, other)
        ]

    def merged_tree(self, ours: str, theirs: str) -> str | None:
        """Merge two commits; None when they conflict."""
        fork = self.fork(ours, theirs)
        tree, conflicts = three_way_merge(
            self.repo.object_store,
            self.get(fork) if fork else None,
            self.get(ours),
            self.get(theirs),
        )
        if conflicts:
            return None
        self.repo.object_store.add_object(tree)
        return tree.id.decode()

    def push(
        self,
        branch: str,
        files: Mapping[str, bytes | None],
        message: str = "A change by hand",
        *,
        mode: int = PLAIN,
    ) -> str:
        """Do what a person does: add a commit to a branch."""
        with self.lock:
            head = self.head(branch)
            assert head is not None
            kept = {path: (self.entry(head, path) or (mode, ""))[0] for path in files}
            tree = self.tree(self.tree_of(head), kept, files)
            oid = self.commit(tree, (head,), message)
            self.move(branch, head, oid)
            return oid
