"""Redis and Valkey under the contract: a user on a real server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from rotation.issuers.redis.issuer import Redis
from rotation.model.payload import Payload
from tests.contract.issuers.subject import Subject
from tests.support.redis.kit import BINARIES, Site, make_site

KINDS = BINARIES


class RedisSubject(Subject):
    """One ACL user."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def issuer(self) -> Redis:
        return self._site.issuer()

    def works(self, payload: Payload) -> bool:
        return self._site.works(payload)

    @contextmanager
    def session(self, payload: Payload) -> Iterator[redis.Redis]:
        with self._site.log_in(payload) as client:
            client.ping()
            yield client

    def is_alive(self, session: Any) -> bool:
        try:
            session.connection.send_command("PING")
            return bool(session.connection.read_response())
        except (redis.RedisError, OSError):
            return False


@contextmanager
def open_subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    server_of = request.getfixturevalue("contract_valkey")
    yield RedisSubject(make_site(server_of(request.param[1])))
