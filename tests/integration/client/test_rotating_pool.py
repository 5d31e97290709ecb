"""`rotation.client` under load, while real credentials of a real server rotate."""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rotation.client import FileSource, Rotating, Source, Trouble
from rotation.client.psycopg import connect, rotating, rotating_psycopg_pool
from rotation.model.consumer import Held

from .conftest import World, wait_for

Make = Callable[..., Rotating[Any]]
#: So seldom that only what a test asks for is read.
NEVER = 3600.0
WORKERS = 4


@pytest.fixture(params=["psycopg", "psycopg_pool"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "psycopg":
        return rotating
    pytest.importorskip("psycopg_pool", reason="no psycopg_pool here: pip install psycopg-pool")
    return rotating_psycopg_pool


@dataclass
class Load:
    """Workers that query without pause, each in blocks of its own."""

    pool: Rotating[Any]
    users: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        stop = threading.Event()
        threads = [threading.Thread(target=self._work, args=(stop,)) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _work(self, stop: threading.Event) -> None:
        while not stop.wait(0.002):
            try:
                with self.pool.connection() as connection:
                    row = connection.execute("SELECT session_user::text").fetchone()
                self.users[row[0]] += 1
            except Exception as error:  # noqa: BLE001 - none is expected
                self.failures.append(f"{type(error).__name__}: {error}")


def version_of(pool: Rotating[Any]) -> int | None:
    usage = pool.usage()
    return usage.held.version if usage else None


def who(pool: Rotating[Any]) -> str:
    with pool.connection() as connection:
        return str(connection.execute("SELECT session_user::text").fetchone()[0])


@contextmanager
def two_at_once(pool: Rotating[Any]) -> Iterator[list[str]]:
    """Borrow two connections; a pool with one idle has to log in for the second."""
    with ExitStack() as stack:
        borrowed = [stack.enter_context(pool.connection()) for _ in range(2)]
        yield [
            str(connection.execute("SELECT session_user::text").fetchone()[0])
            for connection in borrowed
        ]


def move(world: World, load: Load) -> None:
    """Rotate once, and retire the previous credential when nobody is left on it."""
    before, after = world.current, world.rotate()
    wait_for(lambda: version_of(load.pool) == after, "the pool has moved")
    wait_for(lambda: not world.observe(before, after).sessions, "nobody is on the old slot")
    world.suspend(before)
    slot, served = world.slot(after), load.users[world.slot(after)]
    wait_for(lambda: load.users[slot] > served + 50, "work goes on")
    assert world.revoke(before) == 0


def test_no_query_fails_over_three_rotations(world: World, make: Make) -> None:
    with make(world.source(), read_every=0.2) as pool, Load(pool).running() as load:
        for _ in range(3):
            move(world, load)
    assert load.failures == []
    assert set(load.users) == set(world.site.slots)
    assert pool.usage() is None


def test_a_borrowed_connection_lives_on_and_is_closed_when_it_comes_back(
    world: World, make: Make
) -> None:
    with make(world.source(), read_every=NEVER) as pool:
        old = world.current
        with pool.connection() as borrowed:
            new = world.rotate()
            assert pool.refresh()
            assert pool.draining() == (pool_held(world, old),)
            assert borrowed.execute("SELECT 1").fetchone() == (1,)
            assert who(pool) == world.slot(new)
            assert len(world.observe(old, new).sessions) == 1
        assert pool.draining() == ()
        wait_for(lambda: not world.observe(old, new).sessions, "the old session is closed")


def pool_held(world: World, version: int) -> Held:
    return Held(version, world.versions[version].rotation_id() or "")


def test_an_idle_application_leaves_the_old_slot_by_itself(world: World, make: Make) -> None:
    with make(world.source(), read_every=0.2) as pool:
        old, new = world.current, world.rotate()
        wait_for(lambda: not world.observe(old, new).sessions, "the idle pool has moved")
        assert who(pool) == world.slot(new)


def test_a_refused_login_is_answered_by_reading_again(world: World) -> None:
    with rotating(world.source(), read_every=NEVER) as pool:
        old, new = world.current, world.rotate()
        world.suspend(old)
        assert who(pool) == world.slot(old)  # the open session lives on
        with two_at_once(pool) as users:
            assert users == [world.slot(old), world.slot(new)]
        assert version_of(pool) == new
        assert pool.usage().failure is None  # type: ignore[union-attr]


def test_psycopg_pool_reads_again_when_it_cannot_log_in(world: World) -> None:
    pytest.importorskip("psycopg_pool", reason="no psycopg_pool here: pip install psycopg-pool")
    options = {"min_size": 1, "max_size": 2, "timeout": 1.0}
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # its workers go on trying
    with rotating_psycopg_pool(world.source(), pool=options, read_every=NEVER) as pool:
        old, new = world.current, world.rotate()
        world.suspend(old)
        with two_at_once(pool) as users:
            assert users == [world.slot(old), world.slot(new)]


def test_a_dead_credential_does_not_take_over(
    world: World, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with make(world.source(), read_every=NEVER) as pool, Load(pool).running() as load:
        old = world.current
        new = world.add()
        world.suspend(new)
        world.hand_over(new)
        assert not pool.refresh()
        usage = pool.usage()
        assert usage is not None
        assert (usage.held.version, usage.failure.held.version) == (old, new)  # type: ignore[union-attr]
        assert usage.failure.trouble is Trouble.REFUSED  # type: ignore[union-attr]
        world.restore(new)
        assert pool.refresh()
        usage = pool.usage()
        assert usage is not None
        assert (usage.held.version, usage.failure) == (new, None)
    assert load.failures == []
    texts = [record.getMessage() for record in caplog.records]
    assert world.passwords_in(pool, usage, pool.__dict__, *texts) == []


def test_a_reverted_credential_falls_back_although_the_source_is_behind(
    world: World, tmp_path: Path
) -> None:
    old, new = world.current, world.add()
    file = tmp_path / "credential.json"

    def deliver(version: int) -> None:
        arriving = tmp_path / "arriving"
        arriving.write_bytes(world.versions[version].reveal())
        arriving.replace(file)

    deliver(old)
    with rotating(FileSource(file, secret=str(world.secret)), read_every=NEVER) as pool:
        deliver(new)
        assert pool.refresh()
        assert who(pool) == world.slot(new)
        world.suspend(new)  # an automatic revert; the file comes later
        with two_at_once(pool) as users:
            assert users == [world.slot(new), world.slot(old)]
        usage = pool.usage()
        assert usage is not None
        assert usage.held == Held(None, str(world.versions[old].rotation_id()))
        assert usage.failure.held == Held(None, str(world.versions[new].rotation_id()))  # type: ignore[union-attr]
        assert not pool.refresh()  # the file still says so, and the server still refuses
        deliver(old)
        assert not pool.refresh()
        assert pool.usage().failure is None  # type: ignore[union-attr]
        assert who(pool) == world.slot(old)


@dataclass
class Counted:
    """A source that counts."""

    source: Source
    reads: int = 0

    def read(self) -> Any:
        self.reads += 1
        return self.source.read()


def test_many_failures_read_and_log_in_few_times(world: World) -> None:
    now, logins = [0.0], [0]
    source = Counted(world.source())

    def counted_connect(credentials: Any) -> Any:
        logins[0] += 1
        return connect(credentials)

    pool = Rotating.over(
        source, counted_connect, read_every=NEVER, monotonic=lambda: now[0], max_size=100
    )
    with pool, pool.connection():
        world.suspend(world.current)
        before = logins[0]
        for _ in range(50):
            with pytest.raises(psycopg.OperationalError), pool.connection():
                pass
        assert source.reads == 2  # one to open, one for fifty failures
        assert logins[0] - before == 50  # the callers' own, and nobody else's
        for _ in range(20):
            now[0] += 1
            with pytest.raises(psycopg.OperationalError), pool.connection():
                pass
        assert source.reads < 2 + 8  # the pauses grow
        now[0] += 1000
        world.restore(world.current)
        with pool.connection() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_is_away_is_no_refusal(world: World) -> None:
    def connect_nowhere(credentials: Any) -> Any:
        return connect(credentials, port=os_free_port() if away else world.site.server.port)

    away = False
    with Rotating.over(world.source(), connect_nowhere, read_every=NEVER) as pool:
        away = True
        with pool.connection(), pytest.raises(psycopg.OperationalError), pool.connection():
            pass
        failure = pool.usage().failure  # type: ignore[union-attr]
        assert failure is not None
        assert failure.trouble is Trouble.UNREACHABLE


def os_free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def insert_and_fail(pool: Rotating[Any], table: str) -> None:
    with pool.connection() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (1)")  # noqa: S608 - a name of ours
        raise ZeroDivisionError


def test_a_block_is_a_transaction(world: World, make: Make) -> None:
    table = f"notes_{os.getpid()}"
    with make(world.source(), read_every=NEVER) as pool:
        with pool.connection() as connection:
            connection.execute(f"CREATE TABLE {table} (n int)")
        with pytest.raises(ZeroDivisionError):
            insert_and_fail(pool, table)
        with pool.connection() as connection:
            connection.execute(f"INSERT INTO {table} VALUES (2)")  # noqa: S608
        with pool.connection() as connection:
            assert connection.execute(f"SELECT n FROM {table}").fetchall() == [(2,)]  # noqa: S608


def test_a_secret_that_cannot_be_read_changes_nothing(world: World, make: Make) -> None:
    with make(world.source(), read_every=NEVER) as pool, Load(pool).running() as load:
        world.embedded.client.disable_secret_version(name=world.secret.version(world.current))
        assert not pool.refresh()
        assert who(pool) == world.slot(world.current)
    assert load.failures == []
