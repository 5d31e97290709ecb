"""PostgreSQL under the contract: a site on an embedded server."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.contract.issuers.subject import Killable, Subject
from tests.contract.issuers.worker import SECRET, Errand
from tests.support.postgresql.kit import ADMIN, Site, make_site

STORED = """
SELECT a.xmin::text, a::text, d.xmin::text, d.description
  FROM pg_authid AS a LEFT JOIN pg_shdescription AS d ON d.objoid = a.oid
 WHERE a.rolname = %s
"""


class PostgreSQLSubject(Subject, Killable):
    """PostgreSQL on an embedded server."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def issuer(self) -> object:
        return self._site.issuer_of(SECRET)

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

    @property
    def port(self) -> int:
        return self._site.server.port

    def errand(self, port: int) -> Errand:
        settings = {
            "host": "127.0.0.1",
            "port": port,
            "database": self._site.database,
            "slots": list(self._site.slots),
            "owner": self._site.owner,
            "admin": ADMIN,
            "tls": "disable",
        }
        secrets = {self._site.settings().admin_version: self._site.admin}
        return Errand(kind="postgresql", settings=settings, secrets=secrets)

    def stored(self, handle: str) -> object:
        return self._site.run(STORED, values=[handle])


@contextmanager
def open_subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    site = make_site(request.getfixturevalue("contract_server"))
    try:
        yield PostgreSQLSubject(site)
    finally:
        site.close()
