from collections.abc import Iterator

import pytest

from rotation.local.postgres import PostgresServer
from tests.support.postgresql.kit import SERVERS, Site, SiteMaker, leaked, make_site

LOUD = {"log_statement": "all", "log_min_error_statement": "info", "log_connections": "on"}


@pytest.fixture(scope="session", params=SERVERS)
def loud_server(request: pytest.FixtureRequest) -> Iterator[tuple[PostgresServer, list[Site]]]:
    """One server of each kind, which logs all it hears; no password may be in that log."""
    binaries = request.param
    sites: list[Site] = []
    with PostgresServer(bindir=binaries.bindir, tls=binaries.tls, settings=LOUD) as server:
        yield server, sites
        passwords = set().union(*(site.passwords for site in sites))
        assert leaked(server.log_path, passwords) == 0


@pytest.fixture
def server(loud_server: tuple[PostgresServer, list[Site]]) -> PostgresServer:
    return loud_server[0]


@pytest.fixture
def new_site(loud_server: tuple[PostgresServer, list[Site]]) -> Iterator[SiteMaker]:
    server, sites = loud_server
    made: list[Site] = []

    def make(prefix: str = "app") -> Site:
        made.append(make_site(server, prefix))
        return made[-1]

    yield make
    sites += made
    for site in made:
        site.close()


@pytest.fixture
def site(new_site: SiteMaker) -> Site:
    return new_site()
