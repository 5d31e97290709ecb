from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from rotation.model.rollout import Answer
from rotation.participants.git.settings import Auth
from tests.contract.participants.github_world import PERSONAL, GitHubWorld, github_world
from tests.contract.participants.subject import (
    CONTENT,
    MOVED,
    PATH,
    aborted,
    committed,
    prepared,
    reverted,
)
from tests.support.forges.github.server import Failure

pytestmark = pytest.mark.spread

#: A time-out costs its length at every request, so the limit is short.
PATIENCE = {Failure.DONE_BUT_SILENT: timedelta(milliseconds=400)}
#: One that comes before the effect, and one that comes after it.
ONE_OF_EACH = (Failure.UNAVAILABLE, Failure.DONE_BUT_DROPPED)

Act = Callable[[GitHubWorld, timedelta], None]


def bring_in(world: GitHubWorld, patience: timedelta) -> None:
    assert prepared(world, answer_within=patience).answer is Answer.DONE
    assert world.read("main", PATH) == CONTENT
    assert committed(world, answer_within=patience).answer is Answer.DONE


def take_back(world: GitHubWorld, patience: timedelta) -> None:
    assert reverted(world, answer_within=patience).answer is Answer.DONE


def give_up(world: GitHubWorld, patience: timedelta) -> None:
    aborted(world, answer_within=patience)


def nothing(world: GitHubWorld) -> None:
    pass


def prepare_first(world: GitHubWorld) -> None:
    prepared(world)


def commit_first(world: GitHubWorld) -> None:
    prepared(world)
    committed(world)


@contextmanager
def fresh_world(failure: Failure) -> Iterator[GitHubWorld]:
    """Make a world; an App's token takes long to sign, so only these two fetch one."""
    with github_world() as world:
        if failure not in (Failure.UNAVAILABLE, Failure.EXPIRED):
            world.auth = Auth(token=PERSONAL)
        yield world


def requests_of(before: Callable[[GitHubWorld], None], act: Act, failure: Failure) -> int:
    """Count the requests of an act that goes well."""
    with fresh_world(failure) as world:
        before(world)
        world.server.count = 0
        act(world, timedelta(seconds=5))
        return world.server.count


def merged_titles(world: GitHubWorld) -> list[str]:
    return [pull.title for pull in world.forge.pulls if pull.merged]


def replay(
    before: Callable[[GitHubWorld], None], act: Act, failure: Failure, number: int
) -> tuple[bytes | None, list[str], set[str], int]:
    """Run an act whose request ``number`` fails, and return what is there afterwards."""
    with fresh_world(failure) as world:
        before(world)
        world.server.fail(number, failure)
        act(world, PATIENCE.get(failure, timedelta(seconds=5)))
        assert world.server.failures == {}, "the failure never came"
        return (
            world.read("main", PATH),
            merged_titles(world),
            world.branches(),
            len(list(world.forge.open_pulls())),
        )


def outcomes(before: Callable[[GitHubWorld], None], act: Act, failure: Failure) -> set[str]:
    """Fail each request in turn; return the different ends, with an example each."""
    total = requests_of(before, act, failure)
    assert total > 5
    ends: dict[str, int] = {}
    for number in range(total):
        content, merged, branches, still_open = replay(before, act, failure, number)
        version = {CONTENT: "previous", MOVED: "next"}.get(content or b"", "neither")
        left = f"{len(branches)} branches, {still_open} open"
        ends.setdefault(f"{version}; merged {merged}; {left}", number)
    return set(ends)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name)
def test_whichever_request_fails_it_ends_merged_exactly_once(failure: Failure) -> None:
    ends = outcomes(nothing, bring_in, failure)
    assert ends == {"next; merged ['Rotate orders-db to version 4']; 1 branches, 0 open"}


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("failure", ONE_OF_EACH, ids=lambda failure: failure.name)
def test_whichever_request_fails_a_revert_ends_taken_back_exactly_once(failure: Failure) -> None:
    ends = outcomes(commit_first, take_back, failure)
    both = "['Rotate orders-db to version 4', 'Revert orders-db to version 3']"
    assert ends == {f"previous; merged {both}; 0 branches, 0 open"}


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("failure", ONE_OF_EACH, ids=lambda failure: failure.name)
def test_whichever_request_fails_an_abort_leaves_nothing_behind(failure: Failure) -> None:
    ends = outcomes(prepare_first, give_up, failure)
    assert ends == {"previous; merged []; 0 branches, 0 open"}


@pytest.mark.parametrize("failure", Failure, ids=lambda failure: failure.name)
def test_the_request_that_merges_may_fail_in_any_way(failure: Failure) -> None:
    with github_world() as world:
        prepared(world)
        server = world.server
        server.fail_at("PUT", failure)
        patience = PATIENCE.get(failure, timedelta(seconds=5))
        assert committed(world, answer_within=patience).answer is Answer.DONE
        assert server.failures == server.named_failures == {}
        assert merged_titles(world) == ["Rotate orders-db to version 4"]
        assert world.read("main", PATH) == MOVED
