from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from tests.contract.participants.github_world import github_world
from tests.contract.participants.host_worlds import site_world
from tests.contract.participants.subject import World

WORLDS: Mapping[str, Callable[[], AbstractContextManager[World]]] = {
    "github": github_world,
    "gitlab": site_world("gitlab"),
    "gitea": site_world("gitea"),
    "http": site_world("http"),
    "ssh": site_world("ssh"),
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with WORLDS[request.param]() as made:
        yield made
