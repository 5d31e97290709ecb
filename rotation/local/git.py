"""A real Git repository over HTTP, for trying pins in Git on this machine.

Rules of this module:
  1. It binds 127.0.0.1 and lets everybody on this machine in: it is for demonstrations.
  2. The repository is bare and in the folder given; ``git clone`` and ``git push`` work.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

from dulwich.client import FetchPackResult, get_transport_and_path
from dulwich.errors import GitProtocolError
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import MemoryRepo, Repo
from dulwich.server import BackendRepo, DictBackend, UploadPackHandler
from dulwich.web import WSGIRequestHandlerLogger, make_wsgi_chain

#: The branch that consumers follow.
BASE = "main"
_BASE_REF = f"refs/heads/{BASE}".encode()
_TRIES = 4
_AUTHOR = b"demo <demo@localhost>"
_FILE, _FOLDER = 0o100644, 0o040000


class _UploadPack(UploadPackHandler):
    """Like Git's own server it insists on nothing: a client need not take thin packs."""

    @classmethod
    def required_capabilities(cls) -> tuple[bytes, ...]:
        return ()


class _Quiet(WSGIRequestHandlerLogger):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: consumers ask several times a second."""


class Repository:
    """A bare repository with a base branch."""

    def __init__(self, folder: Path, files: Mapping[str, str], now: int) -> None:
        folder.mkdir(parents=True)
        self.repo = Repo.init_bare(folder)
        tree = self._tree(files)
        commit = Commit()
        commit.tree, commit.author, commit.committer = tree, _AUTHOR, _AUTHOR
        commit.author_time = commit.commit_time = now
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"Pins of the demonstration\n"
        self.repo.object_store.add_object(commit)
        self.repo.refs[_BASE_REF] = commit.id  # type: ignore[index]
        self.repo.refs.set_symbolic_ref(b"HEAD", _BASE_REF)  # type: ignore[arg-type]

    def messages(self) -> list[str]:
        """Return the first line of every commit of the base, the newest first."""
        head = self.repo.refs[_BASE_REF]  # type: ignore[index]
        walked = (entry.commit.message for entry in self.repo.get_walker(include=[head]))
        return [message.decode().splitlines()[0] for message in walked]

    def everything(self) -> bytes:
        """Return the content of every object, however it is packed."""
        store = self.repo.object_store
        return b"\n".join(store.get_raw(commit)[1] for commit in store)

    def _tree(self, files: Mapping[str, str]) -> bytes:
        """Store files of the form ``folder/name``."""
        root, folders = Tree(), dict[str, Tree]()
        for path, text in files.items():
            folder, _, name = path.rpartition("/")
            blob = Blob.from_string(text.encode())
            self.repo.object_store.add_object(blob)
            folders.setdefault(folder, Tree()).add(name.encode(), _FILE, blob.id)
        for folder, tree in folders.items():
            self.repo.object_store.add_object(tree)
            root.add(folder.encode(), _FOLDER, tree.id)
        self.repo.object_store.add_object(root)
        return root.id


class Reader:
    """Reads files of the base over HTTP, as a deployment does; fetches only what is new."""

    def __init__(self, url: str) -> None:
        self._client, self._path = get_transport_and_path(url)
        self._store = MemoryRepo()

    def read(self, path: str) -> bytes:
        """Return a file of the form ``folder/name``.

        Raises:
            GitProtocolError, OSError: The server cannot be reached.
            KeyError: There is no such file.
        """
        fetched = self._fetch()
        store = self._store.object_store
        found: bytes = store[fetched.refs[_BASE_REF]].tree  # type: ignore[attr-defined, index]
        for name in path.split("/"):
            _mode, found = store[found][name.encode()]  # type: ignore[index]
        return store[found].as_raw_string()  # type: ignore[index]

    def _fetch(self) -> FetchPackResult:
        for _ in range(_TRIES):
            # The base may move between the two requests; the server then knows of no such wish.
            with suppress(GitProtocolError):
                return self._client.fetch(self._path, self._store, _wanted, depth=1)
        return self._client.fetch(self._path, self._store, _wanted, depth=1)


def _wanted(refs: Mapping[Any, Any], depth: int | None = None) -> list[Any]:
    del depth  # asked for already
    head = refs.get(_BASE_REF)
    return [] if head is None else [head]


@contextmanager
def serving(repository: Repository) -> Iterator[str]:
    """Serve a repository inside the block; yields its URL."""
    repositories: dict[str, BackendRepo] = {"/deploy.git": repository.repo}
    application = make_wsgi_chain(
        DictBackend(repositories), handlers={b"git-upload-pack": _UploadPack}
    )
    server = make_server("127.0.0.1", 0, application, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, name="git", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/deploy.git"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        repository.repo.close()
