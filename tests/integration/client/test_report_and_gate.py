"""What the client reports, as the gate ``consumers`` reads it over HTTP, through a rotation."""

import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.client import Rotating, report, respond, serve_report
from rotation.client.psycopg import rotating
from rotation.gates._reports import Report, read_report
from rotation.gates.consumers import ConsumersGate, ConsumersSettings
from rotation.kit.net.exchange import Reply
from rotation.model.consumer import Failure, Held, Trouble, Usage
from rotation.model.names import SecretName
from rotation.model.plugin import Change
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import environment, watch
from tests.support.secret_manager import NUMBER, PROJECT

from .conftest import World

NEVER = 3600.0


def check(world: World, change: Change, *urls: str, **more: Any) -> Verdict:
    env = environment(project_number={PROJECT: NUMBER}.get)
    gate = ConsumersGate(ConsumersSettings(urls=urls, **more), env)
    rotation_id = str(world.versions[change.next].rotation_id())
    now = datetime.now(UTC)
    verdict = gate.check(
        watch(secret=world.secret, change=change, now=now, rotation_id=rotation_id)
    )
    assert world.passwords_in(verdict) == []
    return verdict


@pytest.fixture
def pools(world: World) -> Any:
    with ExitStack() as stack:
        yield [stack.enter_context(rotating(world.source(), read_every=NEVER)) for _ in range(2)]


def test_consumers_arrive_one_by_one(world: World, pools: list[Rotating[Any]]) -> None:
    change = Change(world.current, world.rotate())
    with serve_report(pools[0]) as first, serve_report(pools[1]) as second:
        assert check(world, change, first, second).look is Look.WAIT
        pools[0].refresh()
        verdict = check(world, change, first, second)
        assert verdict.look is Look.WAIT
        assert verdict.evidence.startswith("1 of 2 consumers use version 2")
        assert check(world, change, first, second, share=0.5).look is Look.PASS
        pools[1].refresh()
        assert check(world, change, first, second).look is Look.PASS


def test_a_consumer_with_two_pools_has_one_url(world: World, pools: list[Rotating[Any]]) -> None:
    change = Change(world.current, world.rotate())
    with serve_report(*pools) as url:
        pools[0].refresh()
        assert check(world, change, url).look is Look.WAIT
        pools[1].refresh()
        assert check(world, change, url).look is Look.PASS


def test_a_refused_credential_fails_the_gate_while_the_consumer_goes_on(
    world: World, pools: list[Rotating[Any]]
) -> None:
    change = Change(world.current, world.add())
    world.suspend(change.next)
    world.hand_over(change.next)
    with serve_report(*pools) as url:
        pools[0].refresh()
        verdict = check(world, change, url)
        assert verdict.look is Look.FAIL
        assert "1 of 1 cannot use version 2" in verdict.evidence
        with pools[0].connection() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        world.hand_over(change.previous or 0)
        pools[0].refresh()
        assert check(world, change, url).look is Look.WAIT


def test_a_report_holds_no_secret(world: World, pools: list[Rotating[Any]]) -> None:
    world.rotate()
    with pools[0].connection():
        pools[0].refresh()
        status, headers, body = respond(*pools)
        reported = report(*pools)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert world.passwords_in(body, reported, pools) == []
    entry = reported["secrets"][world.number_name][0]
    assert entry["draining"] == [{"version": 1, "rotation_id": world.versions[1].rotation_id()}]


def test_only_its_own_path_is_answered(pools: list[Rotating[Any]]) -> None:
    with serve_report(*pools, path="/internal/credentials") as url:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/more", timeout=10)  # noqa: S310


def test_a_closed_pool_says_nothing(world: World, pools: list[Rotating[Any]]) -> None:
    pools[0].close()
    assert report(pools[0])["secrets"] == {}
    assert report(*pools)["secrets"].keys() == {world.number_name}


# Whatever a client has to say, the gate reads it.

MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0))
HELD = st.builds(Held, st.integers(1, 2**62), st.text(max_size=80)) | st.builds(
    Held, st.none(), st.text(min_size=1, max_size=80)
)
USAGES = st.builds(
    Usage,
    HELD,
    st.none() | MOMENTS,
    st.none() | st.builds(Failure, HELD, st.sampled_from(Trouble), st.none() | MOMENTS),
)


class ReportedPool:
    def __init__(self, usage: Usage, draining: tuple[Held, ...]) -> None:
        self.secret = "projects/acme/secrets/orders"
        self._usage, self._draining = usage, draining

    def usage(self) -> Usage:
        return self._usage

    def draining(self) -> tuple[Held, ...]:
        return self._draining


@given(usages=st.lists(USAGES, min_size=1, max_size=4), draining=st.lists(HELD, max_size=2))
@settings(derandomize=True, database=None, deadline=None)
def test_every_report_is_read_as_it_was_meant(usages: list[Usage], draining: list[Held]) -> None:
    pools = [ReportedPool(usage, tuple(draining)) for usage in usages]
    body = respond(*pools)[2]
    name = SecretName("acme", "orders")
    read = read_report(Reply(200, body), name, lambda _project: None)
    assert isinstance(read, Report)
    assert list(read.usages) == usages
    assert abs(read.reported_at - datetime.now(UTC)) < timedelta(hours=1)
