from collections.abc import Iterator

import pytest

from rotation.local.postgres import PostgresServer
from tests.support.postgresql.kit import SERVERS


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    with PostgresServer(bindir=request.param.bindir) as running:
        yield running
