"""Plain Git, GitLab and Gitea, as the contract suite of participants sees them."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.participants.git import GitParticipant
from rotation.participants.git.repository import SshKey
from rotation.participants.git.settings import Auth, GitSettings
from rotation.ports.participant import ParticipantEnvironment
from tests.contract.participants.subject import FILES, PATH
from tests.support.hosting.bare import GIT, NO_GIT, Bare
from tests.support.hosting.sites import SECRET, SITES, Site, Workspace
from tests.support.hosting.sshd import KEYGEN, NO_SSHD, SSHD, run_sshd

CREDENTIAL = "projects/ops/secrets/git/versions/latest"


class SiteWorld:
    """Implements `World`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.has_requests = site.forge is not None

    def participant(self, **settings: Any) -> GitParticipant:
        credential = self.site.repository.credentials()
        is_key = isinstance(credential, SshKey)
        auth = Auth(token=CREDENTIAL)
        if is_key:
            auth = Auth(ssh_key=CREDENTIAL, known_hosts=credential.known_hosts)
        named: dict[str, Any] = {
            "host": self.site.kind,
            "url": self.site.repository.url,
            "path": PATH,
            "auth": auth,
            "answer_within": timedelta(seconds=20),
        }
        secret = credential.private_key if is_key else SECRET.encode()
        environment = ParticipantEnvironment(
            read_secret={CREDENTIAL: secret}.__getitem__, access_token=lambda: ""
        )
        return GitParticipant(GitSettings(**{**named, **settings}), environment)

    def head(self, branch: str) -> str | None:
        return self.site.bare.head(branch)

    def branches(self) -> set[str]:
        shown = self.site.bare.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        return set(shown.split()) - {"main"}

    def read(self, branch: str, path: str) -> bytes | None:
        bare = self.site.bare
        there = bare.head(branch) and bare.git("ls-tree", branch, "--", path)
        return bare.file(branch, path) if there else None

    def push(self, branch: str, files: Mapping[str, bytes | None], message: str) -> str:
        return self.site.bare.commit(branch, files, message)

    def settle(self) -> None:
        """Nothing happens later here."""


def site_world(kind: str) -> Callable[[], AbstractContextManager[SiteWorld]]:
    """Return what makes a world on a site of this kind."""

    @contextmanager
    def world() -> Iterator[SiteWorld]:
        if GIT is None:
            pytest.skip(NO_GIT)
        if kind == "ssh" and (SSHD is None or KEYGEN is None):
            pytest.skip(NO_SSHD)
        with (
            tempfile.TemporaryDirectory() as folder,
            _workspace(kind, Path(folder)) as workspace,
            SITES[kind](workspace) as site,
        ):
            yield SiteWorld(site)

    return world


@contextmanager
def _workspace(kind: str, folder: Path) -> Iterator[Workspace]:
    template = Bare(folder / "template.git", dict(FILES))
    if kind != "ssh":
        yield Workspace(folder, template)
        return
    keys = folder / "keys"
    keys.mkdir()
    with run_sshd(keys) as sshd:
        yield Workspace(folder, template, sshd)
