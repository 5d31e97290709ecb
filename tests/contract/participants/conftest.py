from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

import pytest

from tests.contract.participants.github_world import github_world
from tests.contract.participants.subject import World

WORLDS: Mapping[str, Callable[[], AbstractContextManager[World]]] = {
    "github": github_world,
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with WORLDS[request.param]() as made:
        yield made
