"""A server that accepts the login and then says nothing, or a byte now and then, holds nobody.

Nothing here measures a time: without a deadline these tests do not end.
"""

from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest

from rotation.issuers.postgresql import PostgreSQL, transport
from rotation.issuers.postgresql.adopting import adopter
from rotation.kit import deadline
from rotation.model.errors import PermanentError, TemporaryError, UnknownOutcomeError
from rotation.model.password import Password
from rotation.model.payload import Payload
from tests.support.minting import minting
from tests.support.postgresql.freezing import Freezing
from tests.support.postgresql.kit import Site
from tests.support.postgresql.stranger import SCRAM, Stranger

PLAIN = {"tls": "disable", "tls_root_cert": "", "connect_timeout": 1, "statement_timeout": 1}
WORK: dict[str, tuple[bytes, Callable[[PostgreSQL, Site, Payload], object]]] = {
    "login": (b"SCRAM-SHA-256", lambda issuer, _site, _payload: issuer.connect()),
    "startup": (b"rotation admin", lambda issuer, _site, _payload: issuer.connect()),
    "enter": (b"pg_advisory_xact_lock", lambda issuer, site, _payload: issuer.mint(
        minting(site.slots[1], site.candidate(site.slots[1]), 2, 2))),
    "leave": (b"ALTER ROLE", lambda issuer, site, _payload: issuer.mint(
        minting(site.slots[1], site.candidate(site.slots[1]), 2, 2))),
    "verify": (b"BEGIN READ ONLY", lambda issuer, _site, payload: issuer.verify(payload)),
    "observe": (b"pg_stat_activity", lambda issuer, site, payload: issuer.observe(
        site.slots[1], payload)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_GRACE", 0.5)


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "drips"])
@pytest.mark.parametrize("what", WORK)
def test_a_frozen_server_costs_a_time_out(site: Site, what: str, *, drips: bool) -> None:
    word, work = WORK[what]
    payload = site.mint(site.slots[0], token=1)
    with Freezing(site.server.port, word, drips=drips) as wire:
        issuer = site.issuer(port=wire.port, **PLAIN)
        with pytest.raises(TemporaryError) as caught:
            work(issuer, site, payload)
    assert isinstance(caught.value, UnknownOutcomeError) == (what == "leave")
    assert site.works(payload)


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "drips"])
def test_a_delivery_ends_what_a_policy_would_wait_for(site: Site, *, drips: bool) -> None:
    payload = site.mint(site.slots[0], token=1)
    patient = {**PLAIN, "statement_timeout": 3600, "connect_timeout": 3600}
    with Freezing(site.server.port, b"BEGIN READ ONLY", drips=drips) as wire:
        issuer = site.issuer(port=wire.port, **patient)
        with deadline.delivery(2), pytest.raises(TemporaryError):
            issuer.verify(payload)


def test_adoption_is_not_held(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopter, "_STATEMENT", 1.0)
    place = {
        "host": "127.0.0.1",
        "dbname": site.database,
        "user": site.rotator,
        "sslmode": "disable",
    }
    password = Password(str(site.admin["password"]))
    with Freezing(site.server.port, b"SELECT 42", drips=True) as wire:
        connection = adopter._connect({**place, "port": str(wire.port)}, "rotation admin", password)
        with closing(connection), pytest.raises(psycopg.OperationalError, match="in time"):
            connection.execute("SELECT 42")


def test_a_server_that_wants_a_password_hashed_for_ever_holds_no_worker(site: Site) -> None:
    """libpq does what it is told, and nothing ends it; so it is left alone with that."""
    with Stranger(SCRAM, iterations=12_000_000) as stranger:
        issuer = site.issuer(port=stranger.port, **PLAIN)
        for _ in range(3):
            with pytest.raises(TemporaryError):
                issuer.connect()
        assert stranger.connections == 1


def test_a_server_is_not_believed_any_number_of_iterations(site: Site) -> None:
    if site.server.binaries.major < 16:
        pytest.skip("scram_iterations came with 16")
    site.run("ALTER ROLE {} SET scram_iterations = 1000001", site.rotator)
    with pytest.raises(PermanentError, match="more than 1000000 times") as caught:
        site.mint(site.slots[0], token=1)
    assert "scram_iterations = 4096" in caught.value.remedy
    site.run("ALTER ROLE {} SET scram_iterations = 1", site.rotator)
    site.mint(site.slots[0], token=1)
    stored = site.run(
        "SELECT rolpassword FROM pg_authid WHERE rolname = %s", values=[site.slots[0]]
    )
    assert stored[0][0].startswith("SCRAM-SHA-256$4096:")
