from contextlib import closing
from pathlib import Path

import pytest

from rotation.local.postgres import PostgresServer
from rotation.local.postgres.certificate import write_certificates
from rotation.local.postgres.server import free_port
from rotation.model.errors import CredentialRefusedError, PermanentError, TemporaryError
from rotation.model.payload import Payload
from tests.support.postgresql.kit import Site, make_site

SLOW = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b"


def test_identity_nodes_and_probes_are_reported(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    proof = site.issuer(probes=("SELECT 1", "SELECT '%' LIKE '%'")).verify(payload)
    assert proof.identity == site.owner
    assert proof.probes == 2
    assert proof.nodes == (f"127.0.0.1:{site.server.port}",)


def test_a_slot_that_is_no_member_of_the_owner_is_refused(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("REVOKE {} FROM {}", site.owner, site.slots[0])
    assert site.works(payload), "PostgreSQL lets it in as itself"
    with pytest.raises(PermanentError) as caught:
        site.issuer().verify(payload)
    assert caught.value.reason == "wrong-identity"
    for statement in caught.value.remedy.split("; "):
        site.run(statement)
    site.issuer().verify(payload)


def test_a_membership_without_the_set_option_is_refused(site: Site) -> None:
    if site.server.binaries.major < 16:
        pytest.skip("memberships have no options before 16")
    site.run("GRANT {} TO {} WITH SET FALSE", site.owner, site.slots[0])
    with pytest.raises(PermanentError, match="WITH SET TRUE"):
        site.issuer().verify(site.mint(site.slots[0], token=1))


def test_a_slot_that_does_not_become_the_owner_is_refused(site: Site) -> None:
    site.run("ALTER ROLE {} RESET role", site.slots[0])
    with pytest.raises(PermanentError, match="SET role"):
        site.issuer().verify(site.mint(site.slots[0], token=1))


def test_a_wrong_password_is_a_refusal(site: Site) -> None:
    site.mint(site.slots[0], token=1)
    with pytest.raises(CredentialRefusedError):
        site.issuer().verify(site.candidate(site.slots[0]))


def test_an_expired_role_is_a_refusal(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("ALTER ROLE {} VALID UNTIL '2001-01-01'", site.slots[0])
    with pytest.raises(CredentialRefusedError):
        site.issuer().verify(payload)


def test_silence_is_no_refusal(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with pytest.raises(TemporaryError) as caught:
        site.issuer(port=free_port()).verify(payload)
    assert caught.value.reason == "unreachable"


def test_a_full_server_is_temporary(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("ALTER ROLE {} CONNECTION LIMIT 1", site.slots[0])
    with site.session(payload), pytest.raises(TemporaryError) as caught:
        site.issuer().verify(payload)
    assert caught.value.reason == "server-busy"


def test_a_full_server_is_temporary_for_the_rotator_too(site: Site) -> None:
    site.run("ALTER ROLE {} CONNECTION LIMIT 1", site.rotator)
    with site.session(Payload.of(site.admin)), pytest.raises(TemporaryError):
        site.issuer().connect()


def test_no_right_to_connect_is_permanent(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("REVOKE CONNECT ON DATABASE {} FROM PUBLIC, {}", site.database, site.owner)
    with pytest.raises(PermanentError, match="GRANT CONNECT"):
        site.issuer().verify(payload)


def test_a_missing_database_is_permanent(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with pytest.raises(PermanentError) as caught:
        site.issuer(database="nowhere").verify(payload)
    assert caught.value.reason == "no-database"


def test_a_schema_of_the_search_path_that_may_not_be_used_is_named(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("CREATE SCHEMA vault")
    site.run("ALTER ROLE {} SET search_path = vault, public", site.slots[0])
    with pytest.raises(PermanentError) as caught:
        site.issuer().verify(payload)
    site.run(caught.value.remedy)
    site.issuer().verify(payload)


def test_a_failing_probe_is_named_by_its_number(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.run("CREATE TABLE public.secret (id int)")
    with pytest.raises(PermanentError, match="probe 2") as caught:
        site.issuer(probes=("SELECT 1", "SELECT * FROM secret", "SELECT 3")).verify(payload)
    assert caught.value.reason == "missing-right"


def test_a_slow_probe_is_given_up(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with pytest.raises(TemporaryError):
        site.issuer(probes=(SLOW,), statement_timeout=1).verify(payload)


def test_the_certificate_is_verified_in_full(site: Site) -> None:
    if not site.server.tls:
        pytest.skip("this server is built without TLS")
    payload = site.mint(site.slots[0], token=1)
    site.issuer(host="localhost").verify(payload)
    with site.session(payload, sslmode="verify-full", sslrootcert=str(site.server.ca_path)) as it:
        assert it.pgconn.ssl_in_use


def test_a_foreign_authority_is_refused(site: Site, tmp_path: Path) -> None:
    if not site.server.tls:
        pytest.skip("this server is built without TLS")
    payload = site.mint(site.slots[0], token=1)
    bindir = site.server.binaries.bindir
    with PostgresServer(bindir=bindir, tls=True) as other, pytest.raises(PermanentError) as caught:
        site.issuer(tls_root_cert=str(other.ca_path)).verify(payload)
    assert caught.value.reason == "tls"


def test_a_name_the_certificate_does_not_hold_is_refused(site: Site) -> None:
    if not site.server.tls:
        pytest.skip("this server is built without TLS")
    with PostgresServer(bindir=site.server.binaries.bindir, tls=True) as server:
        server.stop()
        write_certificates(server.ca_path.parent, "db.example")
        server.start()
        with closing(make_site(server)) as other:
            with pytest.raises(PermanentError) as caught:
                other.issuer(host="localhost").connect()
            other.issuer(host="127.0.0.1").connect()
    assert caught.value.reason == "tls"


def test_a_server_without_tls_is_refused_unless_written_out(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    if site.server.tls:
        pytest.skip("this server has TLS")
    with pytest.raises(PermanentError) as caught:
        site.issuer(tls="require").verify(payload)
    assert caught.value.reason == "tls"
    site.issuer(tls="disable").verify(payload)
