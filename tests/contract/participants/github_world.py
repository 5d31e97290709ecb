"""The stand-in for GitHub, as the contract suite sees it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rotation.participants.git import GitParticipant
from rotation.participants.git.github import authorization
from rotation.participants.git.settings import AppAuth, Auth, GitSettings
from rotation.ports.participant import ParticipantEnvironment
from tests.contract.participants.subject import FILES, PATH
from tests.support.forges.github import Forge, Server
from tests.support.forges.github.server import APP, INSTALLATION, TOKEN

PERSONAL = "projects/ops/secrets/personal/versions/1"
KEY = "projects/ops/secrets/github-app/versions/latest"


class GitHubWorld:
    """Implements `World`."""

    has_requests = True

    def __init__(self, server: Server) -> None:
        self.server = server
        self.forge = server.forge
        self.auth = Auth(app=AppAuth(APP, INSTALLATION, KEY))

    def participant(self, **settings: Any) -> GitParticipant:
        named: dict[str, Any] = {
            "host": "github",
            "url": f"{self.server.url}/acme/shop",
            "api": self.server.url,
            "path": PATH,
            "auth": self.auth,
            "answer_within": timedelta(seconds=2),
        }
        environment = ParticipantEnvironment(
            read_secret={KEY: self.server.pem, PERSONAL: TOKEN.encode() + b"\n"}.__getitem__,
            access_token=lambda: "",
        )
        return GitParticipant(GitSettings(**{**named, **settings}), environment)

    def head(self, branch: str) -> str | None:
        return self.forge.store.head(branch)

    def branches(self) -> set[str]:
        return set(self.forge.store.branches()) - {"main"}

    def read(self, branch: str, path: str) -> bytes | None:
        head = self.head(branch)
        return self.forge.store.read(head, path) if head else None

    def push(self, branch: str, files: Mapping[str, bytes | None], message: str) -> str:
        return self.forge.push(branch, files, message)

    def settle(self) -> None:
        self.forge.settle()


@contextmanager
def github_world() -> Iterator[GitHubWorld]:
    # A port that is used again is another server, whose tokens are its own.
    authorization._kept.clear()
    with Server(Forge(FILES)).running() as server:
        yield GitHubWorld(server)
