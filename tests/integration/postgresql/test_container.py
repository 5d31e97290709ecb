import os
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from rotation.issuers.postgresql import PostgreSQL, PostgreSQLSettings
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.minting import minting

pytestmark = [pytest.mark.docker, pytest.mark.slow]
SET_UP = (
    "CREATE ROLE owner NOLOGIN",
    "CREATE ROLE app_a LOGIN",
    "CREATE ROLE app_b LOGIN",
    "GRANT owner TO app_a, app_b",
    "ALTER ROLE app_a SET role = owner",
    "ALTER ROLE app_b SET role = owner",
    "CREATE ROLE rotator LOGIN CREATEROLE PASSWORD {}",
    "GRANT pg_read_all_stats, pg_signal_backend TO rotator",
    "GRANT app_a, app_b TO rotator WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
)


@pytest.fixture
def issuer() -> Iterator[PostgreSQL]:
    if reason := os.environ.get("ROTATION_NO_DOCKER"):
        pytest.skip(f"no container engine: {reason}")
    image = os.environ.get("ROTATION_POSTGRES_IMAGE")
    if not image:
        pytest.skip("no PostgreSQL image: run through .ci/docker_postgres.sh")
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    with PostgresContainer(image, driver=None, dbname="orders", password="first-pw") as container:
        with closing(psycopg.connect(container.get_connection_url(), autocommit=True)) as admin:
            for statement in SET_UP:
                admin.execute(sql.SQL(statement).format(sql.Literal("rotator-pw")))
        settings = PostgreSQLSettings(
            host=container.get_container_host_ip(),
            port=int(container.get_exposed_port(5432)),
            database="orders",
            slots=("app_a", "app_b"),
            owner="owner",
            admin="projects/p/secrets/rotator",
            tls="disable",
        )
        rotator = Payload.of({"username": "rotator", "password": "rotator-pw"})
        issuer = PostgreSQL(settings, IssuerEnvironment(lambda _: rotator, lambda: ""))
        with closing(issuer):
            yield issuer


def test_a_rotation_in_a_container(issuer: PostgreSQL) -> None:
    first = issuer.propose("app_a", "r1", None)
    issuer.verify(first, issuer.mint(minting("app_a", first, 1, 1)))
    second = issuer.propose("app_b", "r2", first)
    issuer.verify(second, issuer.mint(minting("app_b", second, 2, 2)))
    assert issuer.observe("app_a", second).is_conclusive
    assert issuer.revoke("app_a", 2) == 0
    warned = [finding for finding in issuer.preflight(second, 2) if finding.severity.value != "ok"]
    # The published port is not the server's own: the check sees the relay in between.
    assert [finding.check for finding in warned] == ["pooler"]
