from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from tests.contract.participants.github_world import GitHubWorld, github_world
from tests.contract.participants.host_worlds import site_world
from tests.contract.participants.subject import World
from tests.support.forges.github import published
from tests.support.forges.github.published import Published

WORLDS: Mapping[str, Callable[[], AbstractContextManager[World]]] = {
    "github": github_world,
    "gitlab": site_world("gitlab"),
    "gitea": site_world("gitea"),
    "http": site_world("http"),
    "ssh": site_world("ssh"),
}


@pytest.fixture(scope="session")
def github_published(tmp_path_factory: pytest.TempPathFactory) -> Published | str:
    """What GitHub publishes about its API, or why it cannot be had here."""
    return published.load(tmp_path_factory.mktemp("octokit"))


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, github_published: Published | str) -> Iterator[World]:
    with WORLDS[request.param]() as made:
        yield made
        if isinstance(made, GitHubWorld) and isinstance(github_published, Published):
            assert github_published.faults(made.server.exchanges) == []
