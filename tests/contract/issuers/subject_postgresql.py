"""PostgreSQL under the contract: a site on an embedded server."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contract.issuers.subject import Subject
from tests.support.postgresql.kit import Site, make_site


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


@contextmanager
def open_subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    site = make_site(request.getfixturevalue("contract_server"))
    try:
        yield PostgreSQLSubject(site)
    finally:
        site.close()
