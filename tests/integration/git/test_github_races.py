from contextlib import suppress

import pytest

from rotation.model.errors import TemporaryError
from rotation.model.rollout import Answer
from tests.contract.participants.github_world import GitHubWorld
from tests.contract.participants.subject import (
    CONTENT,
    MOVE,
    MOVED,
    PATH,
    aborted,
    committed,
    prepared,
)

# Somebody does something between our look and our next request.

MERGE = "PUT /repos/acme/shop/pulls/1/merge"
CREATE = "POST /repos/acme/shop/git/refs"
COMMIT = "mutation Commit"
DELETE = "mutation UpdateRefs"
CLOSE = "PATCH /repos/acme/shop/pulls/1"
FIND = "GET /repos/acme/shop/pulls"
OPEN = "POST /repos/acme/shop/pulls"


def branch_of(world: GitHubWorld) -> str:
    (branch,) = world.branches()
    return branch


def theirs_on(world: GitHubWorld, branch: str) -> str:
    return world.push(branch, {"NOTES.md": b"Mine\n"}, "Mine")


def test_a_commit_that_arrives_just_before_the_merge_is_not_merged(world: GitHubWorld) -> None:
    prepared(world)
    branch = branch_of(world)
    world.server.interludes[MERGE] = lambda: theirs_on(world, branch)
    progress = committed(world)
    assert world.server.interludes == {}
    assert progress.answer is Answer.WAIT
    assert branch in progress.reason
    assert world.read("main", PATH) == CONTENT


def test_a_base_that_moves_just_before_the_merge_is_kept(world: GitHubWorld) -> None:
    prepared(world)
    beside = CONTENT.replace(b'"7"', b'"70"')
    world.server.interludes[MERGE] = lambda: world.push("main", {PATH: beside}, "Beside")
    assert committed(world).answer is Answer.DONE
    assert world.server.interludes == {}
    assert world.read("main", PATH) == beside.replace(b'"3"', b'"4"')


def test_a_request_closed_just_before_the_merge_is_not_merged(world: GitHubWorld) -> None:
    prepared(world)
    world.server.interludes[MERGE] = lambda: world.forge.close(1)
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert "#1 was closed" in progress.reason
    assert world.read("main", PATH) == CONTENT


def test_a_request_merged_while_we_look_is_seen_as_merged(world: GitHubWorld) -> None:
    prepared(world, draft=False)
    world.server.interludes[FIND] = lambda: world.forge.merge(world.forge.pull(1), "merge")
    assert world.participant().prepare(MOVE).answer is Answer.DONE
    assert world.server.interludes == {}
    assert world.read("main", PATH) == MOVED


def test_a_commit_that_arrives_just_before_ours_stops_us(world: GitHubWorld) -> None:
    branch = world.participant()._forward(MOVE).branch
    heads = []
    world.server.interludes[COMMIT] = lambda: heads.append(theirs_on(world, branch))
    vote = prepared(world)
    assert world.server.interludes == {}
    assert vote.answer is Answer.NO
    assert world.head(branch) == heads[0]


def test_a_commit_that_arrives_before_we_resolve_a_conflict_stops_us(world: GitHubWorld) -> None:
    prepared(world)
    branch = branch_of(world)
    world.push("main", {PATH: CONTENT.replace(b'"7"', b'"70"')}, "Beside")
    patch = f"PATCH /repos/acme/shop/git/refs/heads/{branch}"
    heads = []

    def at_the_second() -> None:
        # The first attempt finds out that the branch cannot simply go forward.
        world.server.interludes[patch] = lambda: heads.append(theirs_on(world, branch))

    world.server.interludes[patch] = at_the_second
    progress = committed(world)
    assert world.server.interludes == {}
    assert progress.answer is Answer.WAIT
    assert world.head(branch) == heads[0]


def test_a_commit_that_arrives_just_before_we_delete_is_kept(world: GitHubWorld) -> None:
    prepared(world)
    branch = branch_of(world)
    world.server.interludes[DELETE] = lambda: theirs_on(world, branch)
    aborted(world)
    assert world.server.interludes == {}
    assert world.read(branch, "NOTES.md") == b"Mine\n"


def test_a_request_merged_just_before_we_close_it_is_taken_back(world: GitHubWorld) -> None:
    prepared(world, draft=False)
    world.server.interludes[CLOSE] = lambda: world.forge.merge(world.forge.pull(1), "merge")
    aborted(world)
    assert world.server.interludes == {}
    assert world.read("main", PATH) == CONTENT
    assert [pull.merged is not None for pull in world.forge.pulls] == [True, True]


@pytest.mark.parametrize("request_name", [CREATE, COMMIT, OPEN])
def test_two_workers_that_prepare_at_once_make_one_request(
    world: GitHubWorld, request_name: str
) -> None:
    def other_worker() -> None:
        with suppress(TemporaryError):
            world.participant().prepare(MOVE)

    world.server.interludes[request_name] = other_worker
    assert prepared(world).answer is Answer.DONE
    assert world.server.interludes == {}
    assert len(world.forge.pulls) == 1
    base = world.head("main")
    assert base is not None
    assert len(world.forge.store.ahead(base, world.head(branch_of(world)) or "")) == 1


def test_two_workers_that_commit_at_once_merge_once(world: GitHubWorld) -> None:
    prepared(world)

    def other_worker() -> None:
        with suppress(TemporaryError):
            world.participant().commit(MOVE)

    world.server.interludes[MERGE] = other_worker
    assert committed(world).answer is Answer.DONE
    assert world.server.interludes == {}
    assert world.read("main", PATH) == MOVED
    assert [pull.merged is not None for pull in world.forge.pulls] == [True]
