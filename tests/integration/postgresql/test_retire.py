from contextlib import ExitStack

import psycopg
import pytest

from rotation.model.errors import CredentialRefusedError, PermanentError
from tests.support.postgresql.kit import Site


def is_alive(session: psycopg.Connection) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_suspend_refuses_logins_and_keeps_sessions(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with site.session(payload) as session:
        site.issuer().suspend(site.slots[0], 2)
        assert is_alive(session)
    with pytest.raises(CredentialRefusedError):
        site.issuer().verify(payload)


def test_restore_brings_the_same_password_back(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1, version=12)
    issuer = site.issuer()
    issuer.suspend(site.slots[0], 2)
    issuer.restore(site.slots[0], 2)
    assert site.works(payload)
    assert "token=2 version=12 state=restored" in (site.comment(site.slots[0]) or "")


@pytest.mark.parametrize("change", ["suspend", "restore", "revoke"])
def test_a_repeat_writes_nothing(site: Site, change: str) -> None:
    site.mint(site.slots[0], token=1)
    issuer = site.issuer()
    getattr(issuer, change)(site.slots[0], 2)
    version = "SELECT xmin FROM pg_authid WHERE rolname = %s"
    before = site.run(version, values=[site.slots[0]])
    getattr(issuer, change)(site.slots[0], 2)
    assert site.run(version, values=[site.slots[0]]) == before


def test_revoke_ends_every_session_and_says_how_many(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with ExitStack() as stack:
        sessions = [stack.enter_context(site.session(payload)) for _ in range(3)]
        assert site.issuer().revoke(site.slots[0], 2) == 3
        assert not any(is_alive(session) for session in sessions)
    assert not site.works(payload)


def test_a_revoked_credential_stays_dead_when_the_role_may_log_in(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    site.issuer().revoke(site.slots[0], 2)
    site.run("ALTER ROLE {} LOGIN", site.slots[0])
    assert not site.works(payload)


def test_a_revoked_slot_is_not_restored(site: Site) -> None:
    site.mint(site.slots[0], token=1)
    site.issuer().revoke(site.slots[0], 2)
    with pytest.raises(PermanentError) as caught:
        site.issuer().restore(site.slots[0], 3)
    assert caught.value.reason == "slot-revoked"


def test_suspending_a_revoked_slot_leaves_it_revoked(site: Site) -> None:
    site.mint(site.slots[0], token=1)
    site.issuer().revoke(site.slots[0], 2)
    site.issuer().suspend(site.slots[0], 3)
    assert "state=revoked" in (site.comment(site.slots[0]) or "")


def test_a_revoked_slot_takes_the_next_credential(site: Site) -> None:
    site.mint(site.slots[0], token=1)
    site.issuer().revoke(site.slots[0], 2)
    assert site.works(site.mint(site.slots[0], token=2))


def test_without_the_right_to_end_sessions_the_credential_dies_and_the_grant_is_named(
    site: Site,
) -> None:
    site.run("REVOKE pg_signal_backend FROM {}", site.rotator)
    payload = site.mint(site.slots[0], token=1)
    with site.session(payload) as session:
        with pytest.raises(PermanentError) as caught:
            site.issuer().revoke(site.slots[0], 2)
        assert not site.works(payload)
        site.run(caught.value.remedy)
        assert site.issuer().revoke(site.slots[0], 2) == 1
        assert not is_alive(session)


@pytest.mark.parametrize("effect", ["suspend", "revoke"])
def test_retiring_a_missing_role_is_permanent_until_it_is_made_again(
    site: Site, effect: str
) -> None:
    site.run("DROP ROLE {}", site.slots[1])
    with pytest.raises(PermanentError) as caught:
        getattr(site.issuer(), effect)(site.slots[1], 1)
    assert caught.value.reason == "role-missing"
    site.run(caught.value.remedy)
    getattr(site.issuer(), effect)(site.slots[1], 1)


def test_an_observer_names_who_is_still_there(site: Site) -> None:
    previous, current = site.mint(site.slots[0], token=1), site.mint(site.slots[1], token=2)
    with site.session(previous, application_name="nightly job"):
        seen = site.issuer().observe(site.slots[0], current)
    assert seen.is_conclusive
    assert [session.client for session in seen.sessions] == ["127.0.0.1 nightly job"]
    assert seen.sessions[0].since is not None
    assert seen.nodes == (f"127.0.0.1:{site.server.port}",)


def test_a_zero_is_believed_only_from_an_observer_that_sees(site: Site) -> None:
    previous, current = site.mint(site.slots[0], token=1), site.mint(site.slots[1], token=2)
    assert site.issuer().observe(site.slots[0], current).is_conclusive
    site.run("REVOKE pg_read_all_stats FROM {}", site.rotator)
    with site.session(previous):
        seen = site.issuer().observe(site.slots[0], current)
    assert not seen.is_conclusive
    assert len(seen.sessions) == 1
    assert "planted session" in seen.unobservable_reason


def test_a_witness_that_cannot_log_in_makes_the_observer_blind(site: Site) -> None:
    site.mint(site.slots[0], token=1)
    dead = site.candidate(site.slots[1])
    seen = site.issuer().observe(site.slots[0], dead)
    assert not seen.is_conclusive
    assert "witness" in seen.unobservable_reason


def test_our_own_sessions_are_left_out(site: Site) -> None:
    previous, current = site.mint(site.slots[0], token=1), site.mint(site.slots[1], token=2)
    with site.session(previous, application_name="rotation verify"):
        assert site.issuer().observe(site.slots[0], current).sessions == ()


def test_the_witness_must_be_of_the_other_slot(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    with pytest.raises(PermanentError):
        site.issuer().observe(site.slots[0], payload)
