import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rotation.issuers.postgresql import PostgreSQL
from rotation.local.postgres import PostgresServer, find_bindirs
from rotation.model.errors import (
    CandidateRejectedError,
    PermanentError,
    SlotInUseError,
    StaleTokenError,
)
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.support.minting import minting
from tests.support.postgresql.kit import Site, SiteMaker, leaked, make_site
from tests.support.postgresql.wire import Wire


def test_a_minted_credential_logs_in_as_the_owner(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with site.session(payload) as session:
        who = session.execute("SELECT current_user, session_user").fetchone()
    assert who == (site.owner, site.slots[0])


def test_the_other_slot_keeps_working(site: Site) -> None:
    first = site.mint(site.slots[0], token=1)
    second = site.mint(site.slots[1], token=2)
    assert site.works(first)
    assert site.works(second)


def test_one_slot_alters_what_the_other_created(site: Site) -> None:
    first = site.mint(site.slots[0], token=1)
    second = site.mint(site.slots[1], token=2)
    with site.session(first) as session:
        session.execute("CREATE SCHEMA shop")
        session.execute("CREATE TABLE shop.orders (id int)")
    with site.session(second) as session:
        session.execute("INSERT INTO shop.orders VALUES (1)")
        session.execute("ALTER TABLE shop.orders ADD note text")
        session.execute("DROP TABLE shop.orders")


def test_token_and_version_are_recorded_beside_foreign_text(site: Site) -> None:
    slot = site.slots[0]
    site.run("COMMENT ON ROLE {} IS 'Shop, write access; it''s \\ theirs'", slot)
    site.mint(slot, token=17, version=12)
    site.mint(slot, token=18, version=13)
    assert site.comment(slot) == (
        "Shop, write access; it's \\ theirs [rotation token=18 version=13 state=minted]"
    )


def test_a_repeat_keeps_the_verifier(site: Site) -> None:
    slot, issuer = site.slots[0], site.issuer()
    payload = site.candidate(slot)
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    issuer.mint(minting(slot, payload, 3, 1))
    before = site.run(stored, values=[slot])
    with site.session(payload):
        issuer.mint(minting(slot, payload, 3, 1))
    assert site.run(stored, values=[slot]) == before
    assert before[0][0].startswith("SCRAM-SHA-256$4096:")


def test_another_candidate_under_the_same_token_replaces_the_first(site: Site) -> None:
    slot, issuer = site.slots[0], site.issuer()
    first, second = site.candidate(slot), site.candidate(slot)
    issuer.mint(minting(slot, first, 3, 1))
    issuer.mint(minting(slot, second, 3, 1))
    assert site.works(second)
    assert not site.works(first)


def test_names_are_taken_as_they_are_written(new_site: SiteMaker) -> None:
    site = new_site("Mixed \"Case' %s ")
    payload = site.mint(site.slots[0], token=1)
    assert site.issuer().verify(payload).identity == site.owner
    site.issuer().suspend(site.slots[0], 2)
    assert "token=2" in (site.comment(site.slots[0]) or "")


def test_an_expired_slot_is_made_usable(site: Site) -> None:
    site.run("ALTER ROLE {} NOLOGIN VALID UNTIL '2001-01-01'", site.slots[0])
    assert site.works(site.mint(site.slots[0], token=1))


def test_a_session_on_the_slot_forbids_the_change(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with site.session(payload), pytest.raises(SlotInUseError):
        site.mint(site.slots[0], token=2)
    assert site.works(payload)


def test_a_session_is_noticed_without_the_right_to_see_it_in_full(site: Site) -> None:
    site.run("REVOKE pg_read_all_stats FROM {}", site.rotator)
    payload = site.mint(site.slots[0], token=1)
    with site.session(payload), pytest.raises(SlotInUseError):
        site.mint(site.slots[0], token=2)


def test_our_own_sessions_do_not_count(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with site.session(payload, application_name="rotation verify"):
        assert site.works(site.mint(site.slots[0], token=2))


def drop(site: Site, *roles: str) -> None:
    for role in roles:
        site.run("DROP ROLE {}", role)


def test_a_missing_slot_becomes_the_twin_of_the_other(site: Site) -> None:
    first, second = site.slots
    drop(site, second)
    if site.server.binaries.major >= 16:
        site.run("GRANT {} TO {} WITH ADMIN TRUE", site.owner, site.rotator)
    site.run("ALTER ROLE {} CONNECTION LIMIT 7", first)
    site.run('ALTER ROLE {} SET search_path = shop, "My Schema", public', first)
    site.run("ALTER ROLE {} IN DATABASE {} SET statement_timeout = '7s'", first, site.database)
    payload = site.mint(second, token=1)
    current = site.mint(first, token=2)
    assert site.issuer().verify(payload).identity == site.owner
    with site.session(payload) as one, site.session(current) as two:
        for name in ("search_path", "statement_timeout", "role"):
            shown = one.execute(f"SHOW {name}").fetchone()
            assert shown == two.execute(f"SHOW {name}").fetchone()
    findings = {finding.check: finding for finding in site.issuer().preflight(current)}
    assert findings["slot-parity"].severity.value == "ok", findings["slot-parity"]


def test_without_the_right_to_create_the_statements_are_named(site: Site) -> None:
    drop(site, site.slots[1])
    site.run("ALTER ROLE {} NOCREATEROLE", site.rotator)
    with pytest.raises(PermanentError) as caught:
        site.mint(site.slots[1], token=1)
    assert caught.value.reason == "missing-right"
    for statement in caught.value.remedy.split("; "):
        site.run(statement.replace("{", "{{"))
    site.run("ALTER ROLE {} CREATEROLE", site.rotator)
    assert site.issuer().verify(site.mint(site.slots[1], token=1)).identity == site.owner


def test_without_the_right_to_change_the_grant_is_named(site: Site) -> None:
    site.run("ALTER ROLE {} NOCREATEROLE", site.rotator)
    if site.server.binaries.major >= 16:
        site.run("REVOKE {} FROM {}", site.slots[0], site.rotator)
    with pytest.raises(PermanentError) as caught:
        site.mint(site.slots[0], token=1)
    assert caught.value.reason == "missing-right"
    for statement in caught.value.remedy.split("; "):
        site.run(statement)
    assert site.works(site.mint(site.slots[0], token=1))


def test_createrole_alone_is_not_enough_from_16_on(site: Site) -> None:
    if site.server.binaries.major < 16:
        pytest.skip("CREATEROLE suffices before 16")
    site.run("REVOKE {} FROM {}", site.slots[0], site.rotator)
    with pytest.raises(PermanentError, match="WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"):
        site.mint(site.slots[0], token=1)


def test_the_rotator_cannot_become_a_slot(site: Site) -> None:
    if site.server.binaries.major < 16:
        pytest.skip("memberships have no options before 16")
    rotator = Payload.of(site.admin)
    with site.session(rotator) as session, pytest.raises(Exception, match="permission denied"):
        session.execute(f"SET ROLE {site.slots[0]}")


def test_a_missing_owner_is_named(site: Site) -> None:
    site.run("ALTER DATABASE {} OWNER TO postgres", site.database)
    drop(site, site.owner)
    with pytest.raises(PermanentError, match="CREATE ROLE") as caught:
        site.mint(site.slots[0], token=1)
    assert caught.value.reason == "role-missing"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER ROLE {} SUPERUSER",
        "ALTER ROLE {} REPLICATION",
        "COMMENT ON ROLE {} IS 'managed-by: CloudNativePG'",
        "COMMENT ON ROLE {} IS 'Rotated by Vault since May'",
    ],
)
def test_a_role_of_somebody_else_is_left_alone(site: Site, change: str) -> None:
    site.run(change, site.slots[0])
    with pytest.raises(PermanentError) as caught:
        site.mint(site.slots[0], token=1)
    assert caught.value.reason == "role-not-ours"


def test_a_candidate_for_the_other_slot_is_refused(site: Site) -> None:
    with pytest.raises(PermanentError):
        site.issuer().mint(minting(site.slots[0], site.candidate(site.slots[1]), 1, 1))


def test_a_rejected_password_asks_for_another_candidate(tmp_server: Callable[..., Site]) -> None:
    site = tmp_server(shared_preload_libraries="passwordcheck")
    slot = site.slots[0]
    fields = site.candidate(slot).fields() | {"password": slot}
    with pytest.raises(CandidateRejectedError) as caught:
        site.issuer().mint(minting(slot, Payload.of(fields), 1, 1))
    assert "SCRAM" not in str(caught.value)
    assert site.works(site.mint(slot, token=1))


def test_a_password_that_is_not_ascii_is_rejected(site: Site) -> None:
    fields = site.candidate(site.slots[0]).fields() | {"password": "käse"}
    with pytest.raises(CandidateRejectedError):
        site.issuer().mint(minting(site.slots[0], Payload.of(fields), 1, 1))


@pytest.fixture
def tmp_server() -> object:
    servers: list[PostgresServer] = []
    sites: list[Site] = []

    def make(**settings: str) -> Site:
        for binaries in find_bindirs():
            found = Path(binaries.bindir).parent.rglob("passwordcheck.*")
            if any(found):
                server = PostgresServer(bindir=binaries.bindir, settings=settings)
                servers.append(server)
                server.start()
                sites.append(make_site(server))
                return sites[-1]
        pytest.skip("no server here has the passwordcheck module")

    yield make
    for site in sites:
        site.close()
    for server in servers:
        server.close()


def test_the_scram_iterations_of_the_server_are_honoured(site: Site) -> None:
    if site.server.binaries.major < 16:
        pytest.skip("scram_iterations came with 16")
    site.run("ALTER ROLE {} SET scram_iterations = 5000", site.rotator)
    site.mint(site.slots[0], token=1)
    stored = site.run(
        "SELECT rolpassword FROM pg_authid WHERE rolname = %s", values=[site.slots[0]]
    )
    assert stored[0][0].startswith("SCRAM-SHA-256$5000:")


def test_a_whole_rotation_stays_within_its_budget(site: Site) -> None:
    current = site.mint(site.slots[0], token=1)
    candidate = site.candidate(site.slots[1], current)
    with Wire(site.server.port) as wire:
        issuer = site.issuer(
            port=wire.port, tls="disable", tls_root_cert="", probes=("SELECT 1", "SELECT 2")
        )
        minted = issuer.mint(minting(site.slots[1], candidate, 2, 2))
        issuer.verify(candidate, minted)
        cold = (wire.logins, wire.round_trips)
        wire.reset()
        again = site.candidate(site.slots[0], candidate)
        issuer.verify(again, issuer.mint(minting(site.slots[0], again, 3, 3)))
        warm = (wire.logins, wire.round_trips)
        issuer.close()
    assert cold == (2, 11)
    assert warm == (1, 7)


def test_no_password_is_written_anywhere(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    slot = site.slots[0]
    site.run("CREATE EXTENSION IF NOT EXISTS plpgsql")
    site.mint(slot, token=5)
    raised = []
    for token in (4, 6):
        site.run("ALTER ROLE {} NOCREATEROLE", site.rotator)
        candidate = site.candidate(slot)
        try:
            site.issuer().mint(minting(slot, candidate, token, 1))
        except (StaleTokenError, PermanentError) as error:
            raised += [repr(error), str(error), repr(error.__context__), str(error.__context__)]
    site.run("ALTER ROLE {} CREATEROLE", site.rotator)
    site.issuer().revoke(slot, 7)
    assert leaked(site.server.log_path, site.passwords) == 0
    text = json.dumps(raised) + caplog.text
    assert not any(password in text for password in site.passwords)
    assert "SCRAM-SHA-256$" in site.server.log_path.read_text(errors="replace")
    assert "SCRAM-SHA-256$" not in text


def test_the_rotators_secret_is_read_at_its_latest_version(site: Site) -> None:
    issuer = site.issuer()
    issuer.connect()
    issuer.connect()
    assert site.reads == ["projects/acme/secrets/rotator/versions/latest"]


def test_a_rotated_rotator_is_read_again(site: Site) -> None:
    issuer = site.issuer()
    issuer.connect()
    issuer.close()
    site.run("ALTER ROLE {} PASSWORD 'another-password-for-it'", site.rotator)
    site.admin["password"] = "another-password-for-it"
    issuer.connect()
    assert len(site.reads) == 2


def test_a_refused_rotator_is_permanent_and_says_what_to_store(site: Site) -> None:
    site.admin["password"] = "wrong"
    with pytest.raises(PermanentError, match="store the rotator's") as caught:
        site.issuer().connect()
    assert caught.value.reason == "admin-login-refused"


def test_an_access_token_is_the_password_of_the_functions_own_identity(site: Site) -> None:
    if not site.server.tls:
        pytest.skip("an access token is sent over TLS only, and this server has none")
    settings = site.settings(admin="iam", admin_user=site.rotator)
    asked = []

    def token() -> str:
        asked.append(1)
        return str(site.admin["password"])

    issuer = PostgreSQL(settings, IssuerEnvironment(site.read, token))
    candidate = site.candidate(site.slots[0])
    issuer.mint(minting(site.slots[0], candidate, 1, 1))
    issuer.close()
    assert site.works(candidate)
    assert asked
    assert site.reads == []
