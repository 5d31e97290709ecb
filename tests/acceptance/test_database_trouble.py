"""The database is down, full, locked, or does not let the rotator do what it must."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
import pytest

from tests.acceptance.prober import probing
from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target


@contextmanager
def _server_down(target: Target) -> Iterator[None]:
    target.scene.stack.postgres.stop()
    try:
        yield
    finally:
        target.scene.stack.postgres.start()


@pytest.mark.parametrize("phase", ["settled", "soaking", "observing", "destroying"])
def test_rotation_met_by_a_server_that_is_down_finishes_by_itself(
    target: Target, phase: str
) -> None:
    if phase != "settled":
        target.rotate()
        target.move_on_to(phase)
    with _server_down(target):
        if phase == "settled":
            target.fire()
        else:
            target.skip_wait()
            target.wake()
        if phase != "destroying":
            wait_until(lambda: target.has_logged("WARNING", "cannot be reached"), "it is logged")
            assert not target.block
    target.scene.await_idle()
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert target.enabled == [2]


def test_connections_cut_by_the_server_are_opened_again(
    target: Target, probed: Callable[[], None]
) -> None:
    target.cut_rotator()
    target.rotate()
    target.settle(probed)
    target.assert_settled(current=2, previous=1)


def test_server_without_a_free_connection_is_waited_for(target: Target) -> None:
    target.cut_rotator()
    with ExitStack() as taken:
        refusals = 0
        while refusals < 5:  # one that is just ending may leave a place
            try:
                session = target.connect(target.payload(1))
            except psycopg.OperationalError:
                refusals += 1
                time.sleep(0.05)
            else:
                taken.enter_context(closing(session))
        target.fire()
        wait_until(lambda: target.has_logged("WARNING", "no more connections"), "it is logged")
        assert not target.block
    target.await_phase("soaking", 2)
    target.settle()
    target.assert_settled(current=2, previous=1)


def test_role_locked_by_somebody_is_waited_for(target: Target) -> None:
    slot = target.slots[1]
    held, released = threading.Event(), threading.Event()

    def hold() -> None:
        with target.scene.stack.postgres.connect(autocommit=False) as session:
            session.execute(f"ALTER ROLE {slot} CONNECTION LIMIT 7")
            held.set()
            released.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        held.wait()
        target.fire()
        wait_until(lambda: target.has_logged("WARNING", "change role"), "it is logged")
        assert not target.block
    finally:
        released.set()
        holder.join()
    target.await_phase("soaking", 2)
    target.settle()
    target.assert_settled(current=2, previous=1)


def test_rotator_whose_password_was_changed_blocks_until_it_is_stored(target: Target) -> None:
    target.superuser(f"ALTER ROLE {target.rotator} PASSWORD 'changed-by-hand'")
    target.cut_rotator()
    target.fire()
    target.assert_blocked("admin-login-refused", target.admin)
    target.add_version({"username": target.rotator, "password": "changed-by-hand"}, target.admin)
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_admin_secret_that_is_missing_blocks_until_it_is_there(target: Target) -> None:
    target.set_policy(issuer=target.issuer(admin=f"{target.name}-none"))
    target.fire()
    target.assert_blocked("not-found", f"{target.id}-none")
    target.set_policy(issuer=target.issuer())
    target.unblock()
    target.assert_settled(current=2, previous=1)


@pytest.mark.parametrize("payload", [b"[]", b'{"username": "x"}'], ids=["a list", "no password"])
def test_admin_secret_that_cannot_be_read_blocks(target: Target, payload: bytes) -> None:
    target.add_version(payload, target.admin)
    target.set_policy(issuer=target.issuer(connect_timeout=3))
    target.fire()
    target.assert_blocked("payload-unreadable")
    login = {"username": target.rotator, "password": "by-hand"}
    target.superuser(f"ALTER ROLE {target.rotator} PASSWORD 'by-hand'")
    target.add_version(login, target.admin)
    target.unblock()
    target.assert_settled(current=2, previous=1)


def _remedies(target: Target) -> list[str]:
    """The statements the message tells a person to run."""
    _, _, remedy = target.block["message"].partition("; ")
    return [part for part in remedy.split("; ") if part]


@pytest.mark.parametrize(
    "statement",
    ["REVOKE {slot} FROM {rotator}", "ALTER ROLE {rotator} NOCREATEROLE"],
    ids=["no ADMIN", "no CREATEROLE"],
)
def test_missing_right_blocks_and_the_message_is_the_statement_that_mends_it(
    target: Target, statement: str
) -> None:
    names = {"slot": target.slots[1], "rotator": target.rotator}
    target.superuser(statement.format(**names))
    target.fire()
    target.assert_blocked("missing-right", "GRANT" if "REVOKE" in statement else "CREATEROLE")
    target.superuser(*_remedies(target))
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_right_to_end_sessions_missing_in_an_emergency_blocks_after_the_refusal(
    target: Target,
) -> None:
    first = target.payload(1)
    target.superuser(f"REVOKE pg_signal_backend FROM {target.rotator}")
    with closing(target.connect(first, application_name="thief")):
        target.ask("emergency")
        target.await_blocked("missing-right")
        assert target.refused(first)
        assert target.works(target.payload(2))
        target.superuser(*_remedies(target))
        target.ask("unblock")
        target.await_phase("destroying", 2)
    target.settle()
    target.assert_settled(current=2, previous=1)


def test_idle_role_that_is_absent_blocks_until_the_remedy_was_run(target: Target) -> None:
    target.superuser(f"DROP ROLE {target.slots[1]}")
    target.fire()
    target.assert_blocked("missing-right")
    target.superuser(*_remedies(target))
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_owner_that_is_absent_blocks(target: Target) -> None:
    target.set_policy(issuer=target.issuer(owner="nobody_owns", owners=["nobody_owns"]))
    target.fire()
    target.assert_blocked("role-missing", "nobody_owns", "CREATE ROLE")
    target.set_policy(issuer=target.issuer())
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_database_that_is_absent_blocks(target: Target) -> None:
    target.set_policy(issuer=target.issuer(database="nowhere"))
    target.fire()
    target.assert_blocked("no-database")
    target.set_policy(issuer=target.issuer())
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_role_that_another_manager_rotates_is_not_touched(target: Target) -> None:
    slot = target.slots[1]
    target.superuser(f"COMMENT ON ROLE {slot} IS 'managed by vault'")
    target.fire()
    target.assert_blocked("role-not-ours", "vault")
    target.superuser(f"COMMENT ON ROLE {slot} IS NULL")
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_superuser_is_never_rotated(target: Target) -> None:
    target.superuser(f"ALTER ROLE {target.slots[1]} SUPERUSER")
    target.fire()
    target.assert_blocked("role-not-ours", "superuser")
    target.superuser(f"ALTER ROLE {target.slots[1]} NOSUPERUSER")
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_second_secret_on_the_same_roles_is_refused_and_both_are_named(
    target: Target, make_target: Callable[..., Target]
) -> None:
    target.rotate()
    other = make_target(target.scene, issuer=target.issuer())
    shared = target.scene.targets[target.id]
    secrets = [*shared["secrets"], *target.scene.targets[other.id]["secrets"]]
    target.scene.allow({target.id: {**shared, "secrets": secrets}})
    other.add_version(target.payload(2))
    before = target.enabled
    other.fire()
    message = other.await_blocked("slots-taken")["message"]
    assert f"secrets/{target.id}," in message
    assert f"secrets/{other.id} " in message
    assert target.works(target.payload(2))
    assert target.enabled == before


def test_owner_that_runs_programs_gets_no_credential(target: Target) -> None:
    target.superuser(f"GRANT pg_execute_server_program TO {target.owner}")
    target.fire()
    target.assert_blocked("role-not-ours", target.owner, "pg_execute_server_program")
    assert target.enabled == [1]
    target.superuser(f"REVOKE pg_execute_server_program FROM {target.owner}")
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_role_that_lost_its_owner_is_not_published(target: Target) -> None:
    slot = target.slots[1]
    target.superuser(f"REVOKE {target.owner} FROM {slot}")
    target.fire()
    target.assert_blocked("wrong-identity", "GRANT")
    assert target.enabled == [1]
    target.superuser(*_remedies(target))
    target.unblock()
    assert target.enabled == [target.current]


def test_failing_probe_keeps_a_credential_from_being_published(target: Target) -> None:
    target.set_policy(issuer=target.issuer(probes=["SELECT 1 FROM not_there"]))
    target.fire()
    target.assert_blocked("database-error", "probe 1")
    assert target.enabled == [1]
    target.set_policy(issuer=target.issuer(probes=["SELECT 1"]))
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_session_on_the_idle_role_blocks_and_the_role_is_not_touched(target: Target) -> None:
    slot = target.slots[1]
    target.superuser(f"ALTER ROLE {slot} PASSWORD 'used-by-hand'")
    mine = {**target.payload(1), "username": slot, "password": "used-by-hand"}
    with probing(target), closing(target.connect(mine, application_name="psql")):
        target.fire()
        target.assert_blocked("slot-in-use", slot)
        assert target.works(mine)
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_credential_changed_by_hand_is_reported_by_the_check_for_drift(target: Target) -> None:
    target.superuser(f"ALTER ROLE {target.slots[0]} PASSWORD 'changed-by-hand'")
    target.wake("check")
    assert "refused" in target.await_blocked("drift")["message"]
    target.ask("emergency")
    target.await_phase("destroying", 2)
    target.scene.await_idle()
    assert target.works(target.payload(2))


def test_server_killed_in_the_middle_of_everything_loses_no_credential(target: Target) -> None:
    target.rotate()
    target.scene.stack.postgres.kill()
    target.scene.stack.postgres.start()
    assert target.works(target.payload(1))
    assert target.works(target.payload(2))
    target.settle()
    target.assert_settled(current=2, previous=1)
