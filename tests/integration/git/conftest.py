from collections.abc import Iterator

import pytest

from tests.contract.participants.github_world import GitHubWorld, github_world
from tests.support.forges.github import published
from tests.support.forges.github.published import Published


@pytest.fixture(scope="session")
def github_published(tmp_path_factory: pytest.TempPathFactory) -> Published | str:
    """What GitHub publishes about its API, or why it cannot be had here."""
    return published.load(tmp_path_factory.mktemp("octokit"))


@pytest.fixture
def world(github_published: Published | str) -> Iterator[GitHubWorld]:
    with github_world() as made:
        yield made
        if isinstance(github_published, Published):
            assert github_published.faults(made.server.exchanges) == []
