import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from rotation.issuers.postgresql import PostgreSQL
from rotation.model.errors import (
    RotationError,
    StaleTokenError,
    StateError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.model.payload import Payload
from tests.support.minting import minting
from tests.support.postgresql.kit import Site
from tests.support.postgresql.wire import Wire

LOCK = "SELECT pg_advisory_lock(hashtextextended('rotation:' || %s::text, 42))"
WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
   AND database = (SELECT oid FROM pg_database WHERE datname = %s)
"""


def try_to_mint(
    issuer: PostgreSQL, slot: str, payload: Payload, token: int
) -> RotationError | None:
    try:
        issuer.mint(minting(slot, payload, token, token))
    except RotationError as error:
        return error
    return None


def test_an_older_token_changes_nothing(site: Site) -> None:
    slot = site.slots[0]
    newer = site.mint(slot, token=5)
    with pytest.raises(StaleTokenError) as caught:
        site.mint(slot, token=4)
    assert caught.value.newest == 5
    assert site.works(newer)


@pytest.mark.parametrize("change", ["suspend", "restore", "revoke"])
def test_an_older_token_cannot_retire_either(site: Site, change: str) -> None:
    slot = site.slots[0]
    newer = site.mint(slot, token=5)
    with pytest.raises(StaleTokenError):
        getattr(site.issuer(), change)(slot, 4)
    assert site.works(newer)


def test_a_newer_token_on_one_slot_protects_the_other(site: Site) -> None:
    first = site.mint(site.slots[0], token=4)
    site.mint(site.slots[1], token=6)
    with pytest.raises(StaleTokenError):
        site.issuer().suspend(site.slots[0], 5)
    assert site.works(first)


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_of_two_waiting_workers_the_newer_token_wins(site: Site, level: str) -> None:
    slot = site.slots[0]
    site.run("ALTER ROLE {} SET default_transaction_isolation = " + f"'{level}'", site.rotator)
    candidates = {token: site.candidate(slot) for token in (31, 30)}
    issuers = {token: site.issuer(lock_timeout=20) for token in candidates}
    with closing(site.server.connect(site.database)) as holder, ThreadPoolExecutor() as pool:
        holder.execute(LOCK, [min(site.slots)])
        futures = {}
        for waiting, (token, candidate) in enumerate(candidates.items(), 1):
            futures[token] = pool.submit(try_to_mint, issuers[token], slot, candidate, token)
            while holder.execute(WAITING, [site.database]).fetchone() != (waiting,):
                pass
        holder.execute("SELECT pg_advisory_unlock_all()")
        outcomes = {token: future.result() for token, future in futures.items()}
    assert outcomes[31] is None
    assert isinstance(outcomes[30], StaleTokenError)
    assert site.works(candidates[31])
    assert not site.works(candidates[30])


def test_workers_in_many_threads_leave_the_newest_token(site: Site) -> None:
    slot = site.slots[0]
    issuer = site.issuer()
    candidates = {token: site.candidate(slot) for token in range(1, 7)}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda item: try_to_mint(issuer, slot, item[1], item[0]), candidates.items()))
    assert site.works(candidates[6])
    assert "token=6 " in (site.comment(slot) or "")


def test_a_lock_that_somebody_keeps_is_temporary(site: Site) -> None:
    with closing(site.server.connect(site.database)) as holder:
        holder.execute(LOCK, [min(site.slots)])
        with pytest.raises(TemporaryError) as caught:
            site.mint(site.slots[0], token=1, lock_timeout=1)
    assert caught.value.reason == "lock-not-available"


def test_a_writer_without_the_lock_makes_a_temporary_error(site: Site) -> None:
    slot = site.slots[0]
    candidate = site.candidate(slot)
    issuer = site.issuer(lock_timeout=20)
    issuer.connect()
    with closing(site.server.connect(site.database)) as other, ThreadPoolExecutor() as pool:
        other.execute("BEGIN")
        other.execute(f"ALTER ROLE {slot} CONNECTION LIMIT 7")
        future = pool.submit(try_to_mint, issuer, slot, candidate, 1)
        with closing(site.server.connect(site.database)) as watcher:
            question = (
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = %s"
            )
            while not watcher.execute(question, [site.rotator]).fetchall():
                pass
        other.execute("COMMIT")
        outcome = future.result()
    assert isinstance(outcome, TemporaryError)
    assert outcome.reason == "concurrent-change"


def test_cut_before_commit_the_earlier_password_holds(site: Site) -> None:
    slot = site.slots[0]
    earlier = site.mint(slot, token=1)
    candidate = site.candidate(slot)
    with Wire(site.server.port) as wire:
        issuer = site.issuer(port=wire.port, tls="disable", tls_root_cert="")
        wire.cut_before(b"COMMIT\0")
        with pytest.raises(UnknownOutcomeError):
            issuer.mint(minting(slot, candidate, 2, 2))
        issuer.close()
    assert b"ALTER ROLE" in wire.sent
    assert site.works(earlier)
    assert not site.works(candidate)


def test_an_answer_lost_after_commit_is_found_by_the_repeat(site: Site) -> None:
    slot = site.slots[0]
    candidate = site.candidate(slot)
    with Wire(site.server.port) as wire:
        issuer = site.issuer(port=wire.port, tls="disable", tls_root_cert="")
        wire.swallow_answer_to(b"COMMIT\0")
        with pytest.raises(UnknownOutcomeError):
            issuer.mint(minting(slot, candidate, 2, 2))
        wire.reset()
        issuer.mint(minting(slot, candidate, 2, 2))
        assert b"ALTER ROLE" not in wire.sent
        issuer.close()
    assert site.works(candidate)


def test_a_connection_lost_before_any_change_is_opened_again(site: Site) -> None:
    issuer = site.issuer()
    issuer.connect()
    site.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
        values=[site.rotator],
    )
    candidate = site.candidate(site.slots[0])
    issuer.mint(minting(site.slots[0], candidate, 1, 1))
    assert site.works(candidate)


def test_the_transaction_is_over_when_a_stale_worker_is_refused(site: Site) -> None:
    issuer = site.issuer()
    site.mint(site.slots[0], token=5)
    with pytest.raises(StaleTokenError):
        issuer.suspend(site.slots[0], 1)
    site.mint(site.slots[0], token=6, lock_timeout=1)


def test_a_frozen_worker_loses_the_lock(site: Site) -> None:
    entered, released = threading.Event(), threading.Event()
    issuer = site.issuer(statement_timeout=1)

    class Frozen(PostgreSQL):
        def _refuse_busy(self, role: object) -> None:
            entered.set()
            released.wait(30)

    frozen = Frozen(site.settings(statement_timeout=1), issuer._admin._environment)
    slow = site.candidate(site.slots[0])
    with ThreadPoolExecutor() as pool:
        future = pool.submit(try_to_mint, frozen, site.slots[0], slow, 1)
        assert entered.wait(10)
        quick = site.mint(site.slots[0], token=2, lock_timeout=20)
        released.set()
        outcome = future.result()
    frozen.close()
    assert isinstance(outcome, TemporaryError)
    assert site.works(quick)
    assert not site.works(slow)


def test_an_unreadable_marker_is_never_overwritten(site: Site) -> None:
    slot = site.slots[0]
    site.run("COMMENT ON ROLE {} IS '[rotation token=many]'", slot)
    with pytest.raises(StateError):
        site.mint(slot, token=9)
    assert site.comment(slot) == "[rotation token=many]"


def test_a_stale_worker_is_refused_on_a_connection_without_rights(site: Site) -> None:
    site.mint(site.slots[0], token=5)
    site.run("ALTER ROLE {} NOCREATEROLE", site.rotator)
    with pytest.raises(StaleTokenError):
        site.mint(site.slots[0], token=4)


def test_the_commit_is_durable_although_the_rotator_asks_for_less(site: Site) -> None:
    site.run("ALTER ROLE {} SET synchronous_commit = off", site.rotator)
    issuer = site.issuer()
    with issuer._change(site.slots[0], 1) as change:
        shown = change._connection.execute("SHOW synchronous_commit").fetchone()
    assert shown == ("local",)


def test_nothing_is_left_open_after_close(site: Site) -> None:
    issuer = site.issuer()
    issuer.connect()
    kept = issuer._admin._kept
    issuer.close()
    issuer.close()
    assert kept is not None
    assert kept.closed
