from collections.abc import Iterator

import pytest

from rotation.local.postgres import PostgresServer
from tests.contract.issuers.subject import Subject
from tests.integration.postgresql.kit import Site, make_site


class PostgreSQLSubject(Subject):
    """PostgreSQL on an embedded server."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def issuer(self) -> object:
        return self._site.issuer()

    def works(self, payload: object) -> bool:
        return self._site.works(payload)

    def session(self, payload: object) -> object:
        return self._site.session(payload)

    def is_alive(self, session: object) -> bool:
        try:
            session.execute("SELECT 1")
        except Exception:  # noqa: BLE001
            return False
        return True


@pytest.fixture(scope="session")
def contract_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


#: A later issuer adds its name here and its branch in `subject`.
@pytest.fixture(params=["postgresql"])
def subject(contract_server: PostgresServer) -> Iterator[Subject]:
    site = make_site(contract_server)
    yield PostgreSQLSubject(site)
    site.close()
