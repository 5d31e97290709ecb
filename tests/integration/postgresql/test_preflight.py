from contextlib import ExitStack, closing

import pytest

from rotation.local.postgres import PostgresServer
from rotation.model.payload import Payload
from rotation.model.plugin import Finding
from tests.support.postgresql.kit import Site, make_site


def preflight(site: Site, current: Payload | None, token: int | None = None) -> list[Finding]:
    return list(site.issuer().preflight(current, token))


def problems(findings: list[Finding]) -> dict[str, str]:
    return {
        finding.check: finding.severity.value
        for finding in findings
        if finding.severity.value != "ok"
    }


def remedy(findings: list[Finding], check: str) -> str:
    return next(finding.remedy for finding in findings if finding.check == check and finding.remedy)


@pytest.fixture
def current(site: Site) -> Payload:
    return site.mint(site.slots[0], token=1)


def test_a_sound_database_passes_every_check(site: Site, current: Payload) -> None:
    findings = preflight(site, current, 1)
    assert problems(findings) == {}
    assert len({finding.check for finding in findings}) == 22


def test_what_needs_a_login_is_said_to_be_untested_without_one(site: Site) -> None:
    assert problems(preflight(site, None)) == {
        "set-role": "untested",
        "scram": "untested",
        "observer": "untested",
    }


def test_an_unreachable_rotator_is_one_finding(site: Site) -> None:
    site.admin["password"] = "wrong"
    findings = preflight(site, None)
    assert [finding.check for finding in findings] == ["rotator-login"]
    assert "store the rotator's" in findings[0].remedy


def test_a_missing_right_is_found_by_trying(site: Site, current: Payload) -> None:
    site.run("ALTER ROLE {} NOCREATEROLE", site.rotator)
    findings = preflight(site, current)
    assert problems(findings) == {"change-right": "error"}
    for statement in remedy(findings, "change-right").split("; "):
        site.run(statement)
    assert problems(preflight(site, current)) == {}


def test_trying_changes_nothing(site: Site, current: Payload) -> None:
    before = site.run("SELECT xmin, a::text FROM pg_authid AS a ORDER BY oid")
    comment = site.comment(site.slots[0])
    preflight(site, current)
    assert site.run("SELECT xmin, a::text FROM pg_authid AS a ORDER BY oid") == before
    assert site.comment(site.slots[0]) == comment


def test_a_lost_membership_is_found_and_mended(site: Site, current: Payload) -> None:
    site.run("REVOKE {} FROM {}", site.owner, site.slots[0])
    findings = preflight(site, current)
    assert problems(findings) == {
        "owner-membership": "error",
        "set-role": "error",
        "slot-parity": "error",
    }
    for statement in remedy(findings, "owner-membership").split("; "):
        site.run(statement)
    assert problems(preflight(site, current)) == {}


@pytest.mark.parametrize(
    "drift",
    [
        "ALTER ROLE {slot} SET search_path = shop, public",
        "ALTER ROLE {slot} IN DATABASE {database} SET work_mem = '7MB'",
        "ALTER ROLE {slot} CONNECTION LIMIT 5",
        "ALTER ROLE {slot} CREATEDB",
        "GRANT pg_read_all_data TO {slot}",
    ],
)
def test_drift_between_the_slots_is_found_and_mended(
    site: Site, current: Payload, drift: str
) -> None:
    names = {"slot": site.slots[0], "database": site.database}
    site.run(drift.format(**names))
    findings = preflight(site, current)
    assert problems(findings) == {"slot-parity": "error"}
    for finding in findings:
        if finding.check == "slot-parity" and site.slots[1] in finding.message:
            site.run(finding.remedy)
    assert all(
        site.slots[1] + " lacks" not in finding.message for finding in preflight(site, current)
    )


@pytest.mark.parametrize(
    ("setup", "thing"),
    [
        ("GRANT SELECT ON public.t TO {slot}", "SELECT on TABLE t"),
        ("GRANT SELECT (id) ON public.t TO {slot}", "SELECT on COLUMN t.id"),
        ("GRANT USAGE ON SCHEMA public TO {slot}", "USAGE on SCHEMA public"),
        ("GRANT CREATE ON DATABASE {database} TO {slot}", "CREATE on DATABASE"),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {slot}", "SELECT on new r"),
        ("CREATE POLICY mine ON public.t TO {slot} USING (true)", "mine on t"),
    ],
)
def test_a_privilege_of_one_slot_alone_is_found(
    site: Site, current: Payload, setup: str, thing: str
) -> None:
    site.run("CREATE TABLE public.t (id int)")
    site.run("ALTER TABLE public.t OWNER TO {}", site.owner)
    site.run(setup.format(slot=site.slots[0], database=site.database))
    findings = preflight(site, current)
    assert problems(findings) == {"slot-parity": "error"}
    assert any(thing in finding.message for finding in findings)


def test_objects_of_a_slot_are_found(site: Site, current: Payload) -> None:
    site.run("CREATE TABLE public.t (id int)")
    site.run("ALTER TABLE public.t OWNER TO {}", site.slots[0])
    findings = preflight(site, current)
    assert problems(findings)["object-owner"] in {"warning", "error"}
    plan = remedy(findings, "object-owner")
    site.run(plan.partition(": ")[2])
    assert problems(preflight(site, current)) == {}


def test_objects_of_a_stranger_are_reported(site: Site, current: Payload) -> None:
    site.run("CREATE TABLE public.t (id int)")
    site.run("ALTER TABLE public.t OWNER TO {}", site.rotator)
    assert problems(preflight(site, current)) == {"object-owner": "warning"}


def test_default_privileges_of_a_slot_are_found(site: Site, current: Payload) -> None:
    statement = "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT ON TABLES TO PUBLIC"
    site.run(statement, site.slots[0])
    assert problems(preflight(site, current)) == {"default-privileges": "error"}


def test_a_blind_observer_is_found_and_mended(site: Site, current: Payload) -> None:
    site.run("REVOKE pg_read_all_stats FROM {}", site.rotator)
    findings = preflight(site, current)
    assert problems(findings) == {"observer": "error"}
    site.run(remedy(findings, "observer"))
    assert problems(preflight(site, current)) == {}


def test_an_observer_that_cannot_end_sessions_is_found_and_mended(
    site: Site, current: Payload
) -> None:
    site.run("REVOKE pg_signal_backend FROM {}", site.rotator)
    findings = preflight(site, current)
    assert problems(findings) == {"end-sessions": "error"}
    site.run(remedy(findings, "end-sessions"))
    assert problems(preflight(site, current)) == {}


def test_a_token_ahead_of_the_secret_is_found(site: Site, current: Payload) -> None:
    assert problems(preflight(site, current, token=0)) == {"fence-marker": "error"}


def test_an_unreadable_marker_is_found(site: Site, current: Payload) -> None:
    site.run("COMMENT ON ROLE {} IS '[rotation of tyres]'", site.slots[0])
    assert problems(preflight(site, current)) == {"fence-marker": "error"}


def test_another_manager_is_found(site: Site, current: Payload) -> None:
    site.run("COMMENT ON ROLE {} IS 'managed by Vault'", site.slots[0])
    assert problems(preflight(site, current)) == {"other-manager": "error"}


def test_an_owner_that_may_log_in_is_reported(site: Site, current: Payload) -> None:
    site.run("ALTER ROLE {} LOGIN", site.owner)
    findings = preflight(site, current)
    assert problems(findings) == {"owner": "warning"}
    site.run(remedy(findings, "owner"))
    assert problems(preflight(site, current)) == {}


def test_a_dead_current_credential_is_reported(site: Site, current: Payload) -> None:
    dead = site.candidate(site.slots[0])
    found = problems(preflight(site, dead))
    assert found["set-role"] == "error"
    assert found["observer"] == "error"


def test_a_server_that_trusts_anybody_is_found(site: Site) -> None:
    bindir = site.server.binaries.bindir
    with PostgresServer(bindir=bindir) as server, closing(make_site(server)) as other:
        current = other.mint(other.slots[0], token=1)
        hba = server.data_dir / "cluster" / "pg_hba.conf"
        hba.write_text(f"host all {other.slots[0]} all trust\n{hba.read_text()}")
        server.restart()
        found = problems(preflight(other, current))
        assert found.pop("scram") == "error"
        # What needs a consumer's login is not tried in another way.
        assert found == {"set-role": "error", "observer": "error"}
        hba.write_text(hba.read_text().replace("scram-sha-256", "trust"))
        server.restart()
        assert problems(preflight(other, current)) == {"rotator-login": "error"}


def test_a_server_without_room_for_both_slots_is_reported(site: Site) -> None:
    small = {"max_connections": "12", "superuser_reserved_connections": "2"}
    bindir = site.server.binaries.bindir
    with (
        PostgresServer(bindir=bindir, settings=small) as server,
        closing(make_site(server)) as other,
        ExitStack() as sessions,
    ):
        current = other.mint(other.slots[0], token=1)
        for _ in range(5):
            sessions.enter_context(other.session(current))
        assert problems(preflight(other, current)) == {"head-room": "warning"}
