import threading

import pytest

from rotation.engine.gather import Threads
from rotation.kit import deadline
from rotation.kit.deadline import DeadlineError


def test_outside_of_a_delivery_an_exchange_has_its_own_time() -> None:
    assert deadline.left(20) == 20


def test_inside_of_a_delivery_nothing_lasts_longer_than_it() -> None:
    with deadline.delivery(5), deadline.delivery(100):
        assert deadline.left(20) <= 5
        assert deadline.left(1) == 1
    assert deadline.left(20) == 20


def test_the_threads_of_a_worker_know_when_the_delivery_ends() -> None:
    threads = Threads(2)
    with deadline.delivery(5):
        assert max(threads([lambda: deadline.left(20)] * 3)) <= 5
    threads.close()


def test_what_comes_of_it_is_returned_or_raised() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert deadline.run(lambda: deadline.left(3), 20) == 3
    with pytest.raises(ValueError, match="no"):
        deadline.run(fail, 20)


def test_what_comes_too_late_is_given_up_and_tidied() -> None:
    late, tidied = threading.Event(), threading.Event()
    with pytest.raises(DeadlineError):
        deadline.run(lambda: late.wait(10), 0.05, lambda _result: tidied.set())
    late.set()
    assert tidied.wait(10)


def test_what_has_no_time_left_does_not_begin() -> None:
    begun = threading.Event()
    with deadline.delivery(0), pytest.raises(DeadlineError):
        deadline.run(begun.set, 20)
    assert not begun.is_set()
