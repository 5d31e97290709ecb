from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.local.redis import RedisServer
from tests.support.redis.kit import BINARIES, Site, make_site


@pytest.fixture(params=BINARIES)
def binary(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def site(binary: Path, tmp_path: Path) -> Iterator[Site]:
    """A user on one server."""
    with RedisServer(tmp_path / "one", binary) as server:
        yield make_site(server)


@pytest.fixture
def pair(binary: Path, tmp_path: Path) -> Iterator[Site]:
    """A user on a server and on its replica."""
    with RedisServer(tmp_path / "one", binary) as first:
        link = ["--replicaof", f"{first.host} {first.port}", "--masterauth", first.admin_password]
        with RedisServer(tmp_path / "two", binary, *link) as second:
            yield make_site(first, second)
