from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from rotation.local.postgres import PostgresReplica, PostgresServer
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    SlotInUseError,
    TemporaryError,
)
from rotation.model.payload import Payload
from tests.support.minting import minting
from tests.support.postgresql.kit import SERVERS, Site, make_site

pytestmark = pytest.mark.slow
DELAY = timedelta(seconds=2)
CAN_COPY = [server for server in SERVERS if server.values[0].can_copy]


@pytest.fixture(scope="module", params=CAN_COPY)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[PostgresServer, PostgresReplica]]:
    binaries = request.param
    server = PostgresServer(bindir=binaries.bindir, tls=binaries.tls)
    with server, server.replica(apply_delay=DELAY) as replica:
        yield server, replica


@pytest.fixture
def standby(pair: tuple[PostgresServer, PostgresReplica]) -> PostgresReplica:
    return pair[1]


@pytest.fixture
def site(pair: tuple[PostgresServer, PostgresReplica]) -> Iterator[Site]:
    site = make_site(pair[0])
    wait_for_replay(*pair)
    yield site
    site.close()


def wait_for_replay(server: PostgresServer, standby: PostgresReplica) -> None:
    with server.connect() as up, standby.connect() as down:
        (position,) = up.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or ("0/0",)
        question = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        while down.execute(question, [position]).fetchone() != (True,):
            up.execute("CHECKPOINT")


def works_on(standby: PostgresReplica, site: Site, payload: Payload) -> bool:
    return replace(site, server=standby).works(payload)


def test_a_lagging_replica_takes_the_old_password_until_it_has_replayed(
    site: Site, standby: PostgresReplica
) -> None:
    slot = site.slots[0]
    old = site.mint(slot, token=1)
    wait_for_replay(site.server, standby)
    issuer = site.issuer(replicas=(f"127.0.0.1:{standby.port}",))
    new = site.candidate(slot, old)
    minted = issuer.mint(minting(slot, new, 2, 2))
    assert works_on(standby, site, old)
    assert not works_on(standby, site, new)
    proof = issuer.verify(new, minted)
    assert len(proof.nodes) == 2
    assert works_on(standby, site, new)
    assert not works_on(standby, site, old)


def test_a_refusal_counts_only_after_the_replay(site: Site, standby: PostgresReplica) -> None:
    issuer = site.issuer(replicas=(f"127.0.0.1:{standby.port}",), replica_timeout=1)
    candidate = site.candidate(site.slots[0])
    minted = issuer.mint(minting(site.slots[0], candidate, 1, 1))
    with pytest.raises(TemporaryError) as caught:
        issuer.verify(candidate, minted)
    assert caught.value.reason == "replica-behind"


def test_a_dead_credential_is_refused_on_a_replica_that_knows_it(
    site: Site, standby: PostgresReplica
) -> None:
    payload = site.mint(site.slots[0], token=1)
    with pytest.raises(CredentialRefusedError):
        site.issuer(port=standby.port, replicas=()).verify(site.candidate(site.slots[0]))
    issuer = site.issuer(replicas=(f"127.0.0.1:{standby.port}",))
    assert issuer.verify(payload).nodes[1] == f"127.0.0.1:{standby.port}"


def test_sessions_on_a_replica_are_seen_and_ended(site: Site, standby: PostgresReplica) -> None:
    previous, current = site.mint(site.slots[0], token=1), site.mint(site.slots[1], token=2)
    wait_for_replay(site.server, standby)
    issuer = site.issuer(replicas=(f"127.0.0.1:{standby.port}",))
    with replace(site, server=standby).session(previous, application_name="report") as session:
        assert site.issuer().observe(site.slots[0], current).sessions == ()
        seen = issuer.observe(site.slots[0], current)
        assert [session.client for session in seen.sessions] == ["127.0.0.1 report"]
        assert seen.is_conclusive
        with pytest.raises(SlotInUseError):
            issuer.mint(minting(site.slots[0], site.candidate(site.slots[0]), 3, 3))
        assert issuer.revoke(site.slots[0], 4) == 1
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert not works_on(standby, site, previous)


def test_a_standby_as_host_is_named(site: Site, standby: PostgresReplica) -> None:
    issuer = site.issuer(port=standby.port)
    with pytest.raises(PermanentError) as caught:
        issuer.mint(minting(site.slots[0], site.candidate(site.slots[0]), 1, 1))
    assert caught.value.reason == "not-primary"
    findings = {finding.check: finding.severity.value for finding in issuer.preflight(None)}
    assert findings["primary"] == "error"


def test_a_standby_that_is_not_listed_is_found(site: Site, standby: PostgresReplica) -> None:
    findings = [finding for finding in site.issuer().preflight(None) if finding.check == "replicas"]
    assert [finding.severity.value for finding in findings] == ["warning"]
    listed = site.issuer(replicas=(f"127.0.0.1:{standby.port}",))
    findings = [finding for finding in listed.preflight(None) if finding.check == "replicas"]
    assert [finding.severity.value for finding in findings] == ["ok"]
