"""Git objects in memory: what was fetched, and the commits we make of it.

Rules of this module:
  1. Nothing is on disk and nothing is sent; `plain` fetches and pushes.
  2. A commit follows from its parents, its files and its message alone: made twice it has one id.
  3. History is shallow.  What is not here is reported as unknown, never as absent.
"""

import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Final

from dulwich.errors import NotTreeError
from dulwich.object_store import MemoryObjectStore, commit_tree_changes
from dulwich.objects import Blob, ObjectID, ShaFile, Tree
from dulwich.objects import Commit as GitCommit
from dulwich.pack import PackData, PackInflater

from rotation.participants.git.host import Commit, Comparison, Files

#: A rotation id that begins with its time, as a trailer of the message.
_MOMENT: Final = re.compile(r"^Rotation-Id: (\d{8}t\d{6})", re.MULTILINE)
#: Length of a pack that holds no objects.
_EMPTY_PACK: Final = 32


@dataclass(frozen=True)
class Made:
    """A commit of ours, and every object that the server does not have yet."""

    oid: str
    objects: tuple[ShaFile, ...]


class Objects:
    """The objects of one repository, as far as they were fetched."""

    def __init__(self) -> None:
        self._store = MemoryObjectStore()

    def __contains__(self, oid: str) -> bool:
        return ObjectID(oid.encode()) in self._store

    def add_pack(self, pack: BytesIO) -> None:
        """Take in a complete pack; its checksum is verified."""
        if (size := pack.tell()) <= _EMPTY_PACK:
            return
        pack.seek(0)
        with PackData.from_file(pack, self._store.object_format, size) as data:
            data.check()
            for thing in PackInflater.for_pack_data(data, self._store.get_raw):
                self._store.add_object(thing)

    def commit(self, oid: str) -> Commit:
        """Return a commit that is here."""
        found = self._commit(oid)
        parents = tuple(parent.decode() for parent in found.parents)
        return Commit(oid, parents, found.message.decode("utf-8", "replace"))

    def file(self, oid: str, path: str) -> bytes | None:
        """Return a file as of a commit; None when there is none, or a link or submodule."""
        mode, blob = self._look_up(self._commit(oid).tree, path)
        if blob is None or not stat.S_ISREG(mode):
            return None
        found = self._store[blob]
        return found.as_raw_string() if isinstance(found, Blob) else None

    def make(self, parents: Sequence[str], files: Files, author: str) -> Made:
        """Make a commit: the files of the last parent, with the change."""
        tree = self._commit(parents[-1]).tree
        blobs = {path: Blob.from_string(content) for path, content in files.content.items()}
        for blob in blobs.values():
            self._store.add_object(blob)
        changes = [
            (path.encode(), self._look_up(tree, path)[0] or stat.S_IFREG | 0o644, blob.id)
            for path, blob in blobs.items()
        ]
        root = commit_tree_changes(self._store, tree, changes)
        trees = self._trees_along(root, files.content)
        commit = self._unsigned(parents, root, files.message, author)
        self._store.add_object(commit)
        return Made(commit.id.decode(), (*blobs.values(), *trees, commit))

    def compare(self, base: str, head: str) -> Comparison | None:
        """Compare two commits; None when too little history is here to tell."""
        base_line, head_line = self._history(base), self._history(head)
        ahead = [oid for oid in head_line if oid not in base_line]
        # The newest of the head's commits that the base has, too.
        fork = next((oid for oid in head_line if oid in base_line), None)
        if self._may_hide(base_line, ahead) or (fork is None and not _complete(head_line)):
            return None
        if any(parent not in head_line for oid in ahead for parent in head_line[oid]):
            return None
        commits = tuple(self.commit(oid) for oid in reversed(ahead))
        paths = frozenset(self._differing(fork, head)) if fork else frozenset[str]()
        return Comparison(fork, commits, paths)

    def _may_hide(self, line: dict[str, tuple[str, ...]], ahead: list[str]) -> bool:
        """Return whether one of ``ahead`` may lie beyond the end of a shallow history."""
        ends = [oid for oid, parents in line.items() if not line.keys() >= set(parents)]
        if not ends or not ahead:
            return False
        newest_end = max(self._commit(oid).commit_time for oid in ends)
        return any(self._commit(oid).commit_time <= newest_end for oid in ahead)

    def _commit(self, oid: str) -> GitCommit:
        found = self._store[ObjectID(oid.encode())]
        if not isinstance(found, GitCommit):
            raise KeyError(oid)
        return found

    def _history(self, oid: str) -> dict[str, tuple[str, ...]]:
        """Return the parents of every commit behind ``oid`` that is here, the newest first."""
        line: dict[str, tuple[str, ...]] = {}
        waiting = [oid]
        while waiting:
            # Git has no better order for a merge base than the time; a tie is broken by depth.
            waiting.sort(key=lambda one: self._commit(one).commit_time)
            here = waiting.pop()
            if here in line:
                continue
            line[here] = self.commit(here).parents
            waiting.extend(parent for parent in line[here] if parent in self)
        return line

    def _look_up(self, tree: ObjectID, path: str) -> tuple[int, ObjectID | None]:
        root = self._store[tree]
        assert isinstance(root, Tree)  # noqa: S101 - a commit's tree is one
        try:
            return root.lookup_path(self._store.__getitem__, path.encode())
        except (KeyError, NotTreeError, ValueError):
            return 0, None

    def _trees_along(self, root: ObjectID, paths: Iterable[str]) -> list[ShaFile]:
        folders = {folder for path in paths for folder in _folders(path)}
        found = [self._store[root]]
        for folder in sorted(folders):
            _, oid = self._look_up(root, folder)
            if oid is not None:
                found.append(self._store[oid])
        return found

    def _unsigned(
        self, parents: Sequence[str], root: ObjectID, message: str, author: str
    ) -> GitCommit:
        commit = GitCommit()
        commit.tree = root
        commit.parents = [ObjectID(parent.encode()) for parent in parents]
        commit.author = commit.committer = author.encode()
        newest = max(self._commit(parent).commit_time for parent in parents)
        commit.author_time = commit.commit_time = max(newest, _moment(message))
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        return commit

    def _differing(self, one: str, other: str) -> Iterator[str]:
        trees = self._commit(one).tree, self._commit(other).tree
        for change in self._store.tree_changes(*trees):
            for path in change[0]:
                if path is not None:
                    yield path.decode("utf-8", "surrogateescape")


def _complete(line: dict[str, tuple[str, ...]]) -> bool:
    return all(parent in line for parents in line.values() for parent in parents)


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def _moment(message: str) -> int:
    """Return when the rotation began, so that a commit's time says something; 0: unknown."""
    if match := _MOMENT.search(message):
        try:
            moment = datetime.strptime(match[1], "%Y%m%dt%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return 0
        return int(moment.timestamp())
    return 0
