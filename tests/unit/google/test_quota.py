"""One process keeps its pace; several share a quota by what is refused."""

import heapq
from collections import deque
from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest
from google.api_core.exceptions import (
    FailedPrecondition,
    GoogleAPICallError,
    ResourceExhausted,
    from_grpc_status,
)
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from rotation.google.patience import Patience
from rotation.google.quota import FIRST_WAIT, PATIENCE, Quota, named_wait

PER_MINUTE = 600


class Time:
    """Moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def quota(self, per_minute: float = PER_MINUTE) -> Quota:
        return Quota(per_minute, now=lambda: self.now, sleep=self.sleep)


class Service:
    """Allows so many calls in any minute."""

    def __init__(self, time: Time, per_minute: int = PER_MINUTE) -> None:
        self.accepted: deque[float] = deque()
        self.refused = 0
        self.times: list[float] = []
        self._time, self._per_minute = time, per_minute

    def call(self) -> str:
        while self.accepted and self.accepted[0] <= self._time.now - 60:
            self.accepted.popleft()
        if len(self.accepted) >= self._per_minute:
            self.refused += 1
            raise exhausted()
        self.accepted.append(self._time.now)
        self.times.append(self._time.now)
        return "done"


def exhausted() -> GoogleAPICallError:
    return from_grpc_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota")


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_burst_passes_at_once(time: Time) -> None:
    quota = time.quota()
    for _ in range(18):
        quota.spend(lambda: "", Patience(10))
    assert sum(time.slept) < 0.001


def test_one_process_alone_is_never_refused_and_uses_nearly_all_of_the_quota(time: Time) -> None:
    quota, service = time.quota(), Service(time)
    for _ in range(3000):
        quota.spend(service.call, Patience(10))
    assert not service.refused
    assert 300 < service.times[-1] - service.times[0] < 330


def test_without_a_quota_nothing_waits(time: Time) -> None:
    quota = time.quota(0)
    for _ in range(10_000):
        quota.spend(lambda: "", Patience(10))
    assert not time.slept


def test_what_is_over_quota_is_made_again_after_a_second(time: Time) -> None:
    answers: Iterator[GoogleAPICallError | None] = iter([exhausted(), None])

    def call() -> str:
        if error := next(answers):
            raise error
        return "done"

    assert time.quota().spend(call, Patience(10)) == "done"
    assert len(time.slept) == 1
    assert FIRST_WAIT <= time.slept[0] <= FIRST_WAIT * 1.25


def test_what_was_refused_once_leaves_its_turn_to_others() -> None:
    """Two writes a second on one secret: the third is refused, and used none of the minute."""
    lengths = []
    for refused in (False, True):
        moves = [1000.0]
        quota = Quota(PER_MINUTE, now=lambda moves=moves: moves[0], sleep=lambda _: None)
        began = moves[0]
        for number in range(900):
            answers = [exhausted()] if refused and number % 6 == 0 else []
            # Others go on meanwhile: the second that this one waits passes for nobody else.
            _call_once(quota, answers)
            moves[0] = max(moves[0], quota._turn)
        lengths.append(moves[0] - began)
    assert lengths[1] == pytest.approx(lengths[0], rel=0.02)


def _call_once(quota: Quota, answers: list[GoogleAPICallError]) -> None:
    def call() -> str:
        if answers:
            raise answers.pop()
        return "done"

    quota.spend(call, Patience(10))


def test_the_wait_the_service_names_is_kept(time: Time) -> None:
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=7))
    named = ResourceExhausted("quota", details=[RetryInfo(retry_delay=delay)])
    answers: Iterator[GoogleAPICallError | None] = iter([named, None])

    def call() -> str:
        if error := next(answers):
            raise error
        return "done"

    time.quota().spend(call, Patience(10))
    assert named_wait(named) == 7
    assert time.slept == [7]


def test_a_quota_that_never_frees_itself_is_given_up(time: Time) -> None:
    began, service = time.now, Service(time, 0)
    with pytest.raises(ResourceExhausted):
        time.quota().spend(service.call, Patience(10))
    assert PATIENCE - 6 < time.now - began < PATIENCE + 1
    assert service.refused > 10


def test_another_error_is_the_callers(time: Time) -> None:
    def call() -> str:
        raise FailedPrecondition("no")

    with pytest.raises(FailedPrecondition):
        time.quota().spend(call, Patience(10))
    assert not time.slept


def test_a_refusal_slows_the_whole_process_down_and_time_heals_it(time: Time) -> None:
    quota, service = time.quota(), Service(time, 0)
    with pytest.raises(ResourceExhausted):
        quota.spend(service.call, Patience(10))
    paused = len(time.slept)
    for _ in range(30):
        quota.spend(lambda: "", Patience(10))
    slow = sum(time.slept[paused:])
    time.now += 120
    paused = len(time.slept)
    for _ in range(30):
        quota.spend(lambda: "", Patience(10))
    assert slow > 2
    assert sum(time.slept[paused:]) < 2


def test_four_processes_share_a_quota_by_its_refusals() -> None:
    """Event by event: each process has eight threads that call all the time."""
    time = Time()
    service = Service(time)
    quotas = [Quota(PER_MINUTE, now=lambda: time.now, sleep=lambda _: None) for _ in range(4)]
    began = time.now
    waiting = [(time.now + index / 1000, index, 0) for index in range(32)]
    heapq.heapify(waiting)
    while len(service.times) < 3000:
        time.now, thread, refusals = heapq.heappop(waiting)
        quota = quotas[thread % 4]
        try:
            service.call()
        except ResourceExhausted:
            if refusals:
                quota._slow_down()
            else:
                quota._give_back()
            pause, again = min(2.0**refusals, 4) * 1.1, refusals + 1
        else:
            pause, again = 0.05, 0
        # Its turn is taken when it comes back.
        heapq.heappush(waiting, (time.now + pause + quota._reserve(), thread, again))
    assert time.now - began < 330
    assert service.refused < 1500


def test_quota_is_behind_once_a_call_has_to_wait_for_its_turn() -> None:
    time = Time()
    quota = time.quota()
    assert not quota.is_behind()
    while not quota.is_behind():
        quota.spend(lambda: None, Patience(10))
    assert time.slept == []
    quota.spend(lambda: None, Patience(10))
    assert len(time.slept) == 1
    time.now += 1
    assert not quota.is_behind()
    assert not Quota().is_behind()
