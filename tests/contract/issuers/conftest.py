from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rotation.local.postgres import PostgresServer
from rotation.local.redis import RedisServer
from tests.contract.found import subjects_of
from tests.contract.issuers.subject import Subject

SUBJECTS = subjects_of("issuers")
#: A subject that exists in several kinds runs once on each.
KINDS = [
    pytest.param((name, kind.values[0]), id=f"{name}-{kind.id}", marks=kind.marks)
    for name, module in SUBJECTS.items()
    for kind in getattr(module, "KINDS", [pytest.param(None, id="only")])
]


@pytest.fixture(scope="session")
def contract_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def contract_valkey(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Path], RedisServer]]:
    """A running server of each binary that is asked for."""
    running: dict[Path, RedisServer] = {}
    with ExitStack() as servers:

        def of(binary: Path) -> RedisServer:
            if binary not in running:
                folder = tmp_path_factory.mktemp("valkey")
                running[binary] = servers.enter_context(RedisServer(folder, binary))
            return running[binary]

        yield of


@pytest.fixture(params=KINDS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with SUBJECTS[request.param[0]].open_subject(request) as subject:
        yield subject
