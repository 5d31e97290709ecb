import threading
from dataclasses import dataclass, field

import pytest

from rotation.client import ConnectionPool, PoolClosedError, PoolTimeoutError


class DriverError(Exception):
    pass


@dataclass
class Session:
    """What a driver of DB-API shape hands out."""

    number: int
    log: list[str] = field(default_factory=list)
    closed: bool = False
    is_broken: bool = False

    def commit(self) -> None:
        self._do("commit")

    def rollback(self) -> None:
        self._do("rollback")

    def close(self) -> None:
        self.log.append("close")
        self.closed = True

    def _do(self, what: str) -> None:
        self.log.append(what)
        if self.is_broken:
            raise DriverError(what)


@dataclass
class Driver:
    sessions: list[Session] = field(default_factory=list)
    is_away: bool = False

    def connect(self) -> Session:
        if self.is_away:
            raise DriverError("away")
        self.sessions.append(Session(len(self.sessions)))
        return self.sessions[-1]

    @property
    def open_count(self) -> int:
        return sum(not session.closed for session in self.sessions)


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_a_dead_credential_is_reported_at_once(driver: Driver) -> None:
    driver.is_away = True
    with pytest.raises(DriverError):
        ConnectionPool(driver.connect)


def test_a_connection_is_lent_again(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect)
    for _ in range(3):
        with pool.connection() as session:
            assert session.number == 0
    assert driver.sessions[0].log == ["commit"] * 3


def fail_inside(pool: ConnectionPool[Session]) -> None:
    with pool.connection():
        raise ZeroDivisionError


def test_an_error_rolls_back_and_the_connection_is_lent_again(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect)
    with pytest.raises(ZeroDivisionError):
        fail_inside(pool)
    with pool.connection() as session:
        assert session.log == ["rollback"]


def test_a_connection_that_cannot_roll_back_is_dropped(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect)
    driver.sessions[0].is_broken = True
    with pytest.raises(ZeroDivisionError):
        fail_inside(pool)
    assert driver.sessions[0].closed
    with pool.connection() as session:
        assert session.number == 1


def test_a_failed_commit_is_reported(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect)
    driver.sessions[0].is_broken = True
    with pytest.raises(DriverError, match="commit"), pool.connection():
        pass
    assert driver.sessions[0].closed


def test_a_connection_that_closed_while_idle_is_not_lent(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect, max_size=1)
    driver.sessions[0].closed = True
    with pool.connection() as session:
        assert session.number == 1


def test_a_connection_that_closed_while_lent_is_not_kept(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect, max_size=1)
    with pool.connection() as session:
        session.closed = True
    with pool.connection() as session:
        assert session.number == 1


def test_no_more_than_its_size_are_open(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect, max_size=2, timeout=0.01)
    with pool.connection(), pool.connection():
        with pytest.raises(PoolTimeoutError), pool.connection():
            pass
        assert driver.open_count == 2
    with pool.connection() as session:
        assert session.number in {0, 1}


def test_a_login_that_fails_frees_its_place(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect, max_size=2, timeout=0.01)
    with pool.connection():
        driver.is_away = True
        for _ in range(5):
            with pytest.raises(DriverError), pool.connection():
                pass
        driver.is_away = False
        with pool.connection() as session:
            assert session.number == 1


def test_who_waits_gets_what_comes_back(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect, max_size=1)
    got: list[int] = []

    def borrow() -> None:
        with pool.connection() as session:
            got.append(session.number)

    waiting = threading.Thread(target=borrow)
    with pool.connection():
        waiting.start()
    waiting.join()
    assert got == [0]


def test_a_closed_pool_lends_no_more_and_closes_what_comes_back(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect)
    with pool.connection():
        with pool.connection():
            pass
        pool.close()
        pool.close()
        assert driver.open_count == 1
        with pytest.raises(PoolClosedError), pool.connection():
            pass
    assert driver.open_count == 0


def test_whoever_waits_on_a_closed_pool_gets_an_error(driver: Driver) -> None:
    pool = ConnectionPool(driver.connect, max_size=1)
    reasons: list[str] = []

    def borrow() -> None:
        try:
            with pool.connection():
                pass
        except PoolClosedError as error:
            reasons.append(error.reason)

    waiting = threading.Thread(target=borrow)
    with pool.connection():
        waiting.start()
        pool.close()
        waiting.join()
    assert reasons == ["pool-closed"]


def test_a_driver_without_transactions_is_left_alone() -> None:
    class Bare:
        def close(self) -> None:
            pass

    with ConnectionPool(Bare).connection() as session:
        assert isinstance(session, Bare)
