from collections.abc import Iterator

import pytest

from rotation.local.postgres import PostgresServer
from tests.contract.found import subjects_of
from tests.contract.issuers.subject import Subject

SUBJECTS = subjects_of("issuers")


@pytest.fixture(scope="session")
def contract_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with SUBJECTS[request.param].open_subject(request) as subject:
        yield subject
