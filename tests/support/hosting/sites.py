"""One place to host a repository, of each kind, ready for a test."""

import contextlib
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rotation.participants.git.host import Host
from rotation.participants.git.hosts import HostKind, open_host
from rotation.participants.git.repository import Credential, Repository, SshKey, Token
from tests.support.hosting.bare import Bare
from tests.support.hosting.forge import Forge
from tests.support.hosting.git_http import git_http
from tests.support.hosting.gitea import GiteaForge
from tests.support.hosting.gitlab import GitLabForge
from tests.support.hosting.serving import Server, serve
from tests.support.hosting.sshd import NO_SSHD, Sshd

#: Never to be seen in a message.
SECRET: Final = "s3cr3t-t0ken-of-the-tests"
FILES: Final = {
    "README.md": b"# app\n",
    "deploy/prod/pin.yaml": b"db:\n  version: 3\n",
    "deploy/with space/über.env": b"VERSION=3\r\n",
    "logo.png": bytes(range(256)),
    "run.sh": b"#!/bin/sh\n",
}


@dataclass(frozen=True)
class Site:
    """A served repository."""

    kind: HostKind
    bare: Bare
    repository: Repository
    #: What is served over HTTP, where failures can be planned; None for SSH.
    server: Server | None = None
    #: What answers the API; None for plain Git.
    forge: Forge | None = None

    def host(self, **changes: object) -> Host:
        """Another process's host: it knows nothing of what was done before."""
        return open_host(self.kind, replace(self.repository, **changes))  # type: ignore[arg-type]


def _known(credential: Credential) -> Callable[[], Credential]:
    return lambda: credential


def _repository(url: str, credential: Credential) -> Repository:
    return Repository(url, _known(credential), author_email="rotation@example.com")


@dataclass(frozen=True)
class Workspace:
    """What sites are built on."""

    folder: Path
    #: Copied for every site.
    template: Bare
    sshd: Sshd | None = None

    def bare(self) -> Bare:
        return Bare.copy_of(self.template, self.folder / "team" / "app.git")


@contextlib.contextmanager
def http_site(workspace: Workspace) -> Iterator[Site]:
    bare = workspace.bare()
    with serve(git_http(workspace.folder, SECRET)) as server:
        repository = _repository(f"{server.url}/team/app.git", Token(SECRET))
        yield Site("git", bare, repository, server)


@contextlib.contextmanager
def ssh_site(workspace: Workspace) -> Iterator[Site]:
    bare = workspace.bare()
    assert workspace.sshd is not None, NO_SSHD
    key = SshKey("", workspace.sshd.private_key, workspace.sshd.known_hosts)
    yield Site("git", bare, _repository(workspace.sshd.url(bare.path), key))


@contextlib.contextmanager
def _forge_site(kind: HostKind, forge: Forge) -> Iterator[Site]:
    with serve(forge) as server:
        repository = _repository(f"{server.url}/{forge.full_name}", Token(SECRET))
        yield Site(kind, forge.bare, repository, server, forge)


def gitlab_site(workspace: Workspace) -> contextlib.AbstractContextManager[Site]:
    return _forge_site("gitlab", GitLabForge(workspace.folder, workspace.template, SECRET))


def gitea_site(workspace: Workspace) -> contextlib.AbstractContextManager[Site]:
    return _forge_site("gitea", GiteaForge(workspace.folder, workspace.template, SECRET))


#: Every kind of place; a later host adds a line.
SITES: Final[Mapping[str, Callable[[Workspace], contextlib.AbstractContextManager[Site]]]] = {
    "http": http_site,
    "ssh": ssh_site,
    "gitlab": gitlab_site,
    "gitea": gitea_site,
}


def make_template(path: Path) -> Bare:
    """Make the repository that every site starts with."""
    bare = Bare(path, FILES)
    _make_executable(bare)
    return bare


def _make_executable(bare: Bare) -> None:
    """Give one file the executable bit, and let one path be a link."""
    index = {"GIT_INDEX_FILE": str(bare.path / "index.tmp")}
    head = str(bare.head("main"))
    bare.git("read-tree", head, **index)
    for path, mode, content in (
        ("run.sh", stat.S_IFREG | 0o755, FILES["run.sh"]),
        ("link", stat.S_IFLNK, b"README.md"),
    ):
        blob = bare.git("hash-object", "-w", "--stdin", data=content)
        bare.git("update-index", "--add", "--cacheinfo", f"{mode:o},{blob},{path}", **index)
    oid = bare.git(
        *("commit-tree", bare.git("write-tree", **index), "-p", head, "-m", "Modes"),
        GIT_AUTHOR_DATE="1700000090 +0000",
        GIT_COMMITTER_DATE="1700000090 +0000",
    )
    bare.git("update-ref", "refs/heads/main", oid)
