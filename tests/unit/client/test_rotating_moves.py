"""Orders of events that a real driver shows too seldom."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from rotation.client import Credentials, PoolTimeoutError, Rotating, Trouble
from rotation.client.rotating import trouble_by_words
from rotation.model.errors import TemporaryError

NEVER = 3600.0


def credentials(version: int) -> Credentials:
    payload = b'{"username": "u%d", "password": "p"}' % version
    return Credentials(payload, secret="projects/acme/secrets/orders", version=version)


@dataclass
class Pool:
    """Lends its version's number, after ``before`` let it."""

    version: int
    before: Callable[[], None]
    is_closed: bool = False

    @contextmanager
    def connection(self) -> Iterator[int]:
        self.before()
        if self.is_closed:
            raise TemporaryError("closed")
        yield self.version

    def close(self) -> None:
        self.is_closed = True


@dataclass
class World:
    version: int = 1
    reads: int = 0
    pools: list[Pool] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    before: Callable[[], None] = lambda: None
    error: Exception | None = None

    def read(self) -> Credentials:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return credentials(self.version)

    def open_pool(self, chosen: Credentials) -> Pool:
        if chosen.version in self.refused:
            raise ConnectionError("password authentication failed for user")
        self.pools.append(Pool(int(chosen.version or 0), self.wait))
        return self.pools[-1]

    def wait(self) -> None:
        self.before()

    def rotating(self) -> Rotating[int]:
        return Rotating(self, self.open_pool, read_every=NEVER)


def lent_by(pool: Rotating[int]) -> int:
    with pool.connection() as number:
        return number


def test_a_pool_is_not_closed_under_somebody_who_is_about_to_borrow() -> None:
    world = World()
    arrived, go = threading.Event(), threading.Event()
    got: list[int] = []

    def hold() -> None:
        arrived.set()
        go.wait()

    with world.rotating() as pool:
        world.before = hold
        borrower = threading.Thread(target=lambda: got.append(lent_by(pool)))
        borrower.start()
        arrived.wait()
        world.before = lambda: None
        world.version = 2
        assert pool.refresh()
        assert not world.pools[0].is_closed
        assert lent_by(pool) == 2
        go.set()
        borrower.join()
        assert got == [1]
        assert world.pools[0].is_closed
        assert pool.draining() == ()


def test_a_failure_while_another_caller_moved_is_tried_again_without_a_read() -> None:
    world = World()
    with world.rotating() as pool:

        def move_and_fail() -> None:
            world.before = lambda: None
            world.version = 2
            pool.refresh()
            raise ConnectionError("terminated")

        world.before = move_and_fail
        assert lent_by(pool) == 2
        assert world.reads == 2  # to open, and by whoever moved


def test_when_both_credentials_are_refused_the_one_in_force_is_reported() -> None:
    def refuse() -> None:
        raise ConnectionError("password authentication failed for user")

    world = World(refused={2})
    with world.rotating() as pool:
        world.version, world.before = 2, refuse
        with pytest.raises(ConnectionError):
            lent_by(pool)
        usage = pool.usage()
        assert usage is not None
        assert usage.failure is not None
        assert (usage.held.version, usage.failure.held.version) == (1, 2)


def test_pauses_double_up_to_a_minute() -> None:
    def refuse() -> None:
        raise ConnectionError("password authentication failed for user")

    world, now = World(), [0.0]
    pool = Rotating(world, world.open_pool, read_every=NEVER, monotonic=lambda: now[0])
    reads = []
    with pool:
        world.before, world.refused = refuse, {1}
        for second in range(200):
            now[0], before = float(second), world.reads
            with pytest.raises(ConnectionError):
                lent_by(pool)
            if world.reads > before:
                reads.append(second)
    assert reads == [0, 1, 3, 7, 15, 31, 63, 123, 183]


def test_a_busy_pool_says_nothing_about_the_credential() -> None:
    world = World()
    with world.rotating() as pool:

        def busy() -> None:
            raise PoolTimeoutError("all are lent out")

        world.before = busy
        with pytest.raises(PoolTimeoutError):
            lent_by(pool)
        assert world.reads == 1
        assert pool.usage().failure is None  # type: ignore[union-attr]


def test_the_first_credential_must_work() -> None:
    world = World(refused={1})
    with pytest.raises(ConnectionError):
        world.rotating().open()
    world = World(error=TemporaryError("away"))
    with pytest.raises(TemporaryError):
        world.rotating().open()


def test_a_pool_that_is_not_open_says_so() -> None:
    pool = World().rotating()
    assert (pool.usage(), pool.secret, pool.draining()) == (None, "", ())
    with pytest.raises(RuntimeError, match="not open"):
        lent_by(pool)
    with pool:
        assert lent_by(pool) == 1
    pool.close()
    with pytest.raises(RuntimeError, match="not open"):
        lent_by(pool)
    with pool:
        assert lent_by(pool) == 1


def test_a_pool_that_is_opened_again_has_forgotten_what_was() -> None:
    world = World(refused={2})
    pool = world.rotating()
    with pool:
        world.version = 2
        pool.refresh()
        assert pool.usage().failure is not None  # type: ignore[union-attr]
    world.version = 1
    with pool:
        assert pool.usage().failure is None  # type: ignore[union-attr]


def test_closing_leaves_no_pool_open() -> None:
    world = World()
    with world.rotating() as pool:
        world.version = 2
        pool.refresh()
    assert [pool.is_closed for pool in world.pools] == [True, True]


def test_the_same_credential_opens_nothing() -> None:
    world = World()
    with world.rotating() as pool:
        since = pool.usage().since  # type: ignore[union-attr]
        assert not pool.refresh()
        assert pool.usage().since == since  # type: ignore[union-attr]
        assert len(world.pools) == 1


def test_a_refusal_is_reported_since_it_began_and_until_it_is_over() -> None:
    world = World(refused={2})
    with world.rotating() as pool:
        world.version = 2
        failures = []
        for _ in range(2):
            pool.refresh()
            failures.append(pool.usage().failure)  # type: ignore[union-attr]
        assert failures[0] == failures[1]
        assert failures[0].trouble is Trouble.REFUSED  # type: ignore[union-attr]
        world.version = 1
        pool.refresh()
        assert pool.usage().failure is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ('FATAL:  password authentication failed for user "a"', Trouble.REFUSED),
        ('FATAL:  role "a" is not permitted to log in', Trouble.REFUSED),
        ("(1045, \"Access denied for user 'a'@'h' (using password: YES)\")", Trouble.REFUSED),
        ("WRONGPASS invalid username-password pair", Trouble.REFUSED),
        ("connection refused", Trouble.UNREACHABLE),
        ("connection to server at 10.0.0.5, port 28000 failed", Trouble.UNREACHABLE),
        ("timeout expired", Trouble.UNREACHABLE),
        ("", Trouble.UNREACHABLE),
    ],
)
def test_words_of_drivers(text: str, trouble: Trouble) -> None:
    assert trouble_by_words(OSError(text)) is trouble
