from contextlib import suppress

import pytest
from msgspec.structs import replace

from rotation.model.errors import TemporaryError
from rotation.model.rollout import Answer
from rotation.participants.git.edits import Edits
from tests.contract.participants.subject import (
    API_MOVE,
    CONTENT,
    MOVE,
    MOVED,
    PATH,
    World,
    aborted,
    committed,
    prepared,
    reverted,
    until_settled,
    with_versions,
)


def our_branch(world: World) -> str:
    (branch,) = world.branches()
    return branch


def set_version(world: World, version: int) -> None:
    content = world.read("main", PATH)
    assert content is not None
    first, second, *rest = content.split(b"\n")
    second = second.replace(second.split(b'"')[1], str(version).encode(), 1)
    world.push("main", {PATH: b"\n".join([first, second, *rest])}, "Another version")


# prepare


def test_prepare_votes_yes_and_consumers_see_nothing(world: World) -> None:
    base = world.head("main")
    assert prepared(world).answer is Answer.DONE
    assert world.head("main") == base
    assert world.read(our_branch(world), PATH) == MOVED


def test_a_second_prepare_finds_what_the_first_one_made(world: World) -> None:
    first = prepared(world)
    branches = {branch: world.head(branch) for branch in world.branches()}
    assert prepared(world) == first
    assert {branch: world.head(branch) for branch in world.branches()} == branches


def test_prepare_votes_yes_when_consumers_have_it_already(world: World) -> None:
    set_version(world, 4)
    assert prepared(world).answer is Answer.DONE
    assert world.branches() == set()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (CONTENT.replace(b'"3"', b'"9"'), "9"),
        (CONTENT.replace(b"acme-prod/orders-db", b"acme-prod/other"), PATH),
        (None, PATH),
    ],
    ids=["drifted", "marker-gone", "file-gone"],
)
def test_prepare_votes_no_where_the_pin_is_not_as_expected(
    world: World, content: bytes | None, word: str
) -> None:
    world.push("main", {PATH: content}, "Something else")
    vote = prepared(world)
    assert vote.answer is Answer.NO
    assert word in vote.reason
    assert vote.remedy
    assert world.branches() == set()


def test_prepare_votes_no_on_a_branch_that_somebody_builds_on(world: World) -> None:
    prepared(world)
    branch = our_branch(world)
    theirs = world.push(branch, {"NOTES.md": b"Mine\n"}, "Mine")
    vote = prepared(world)
    assert vote.answer is Answer.NO
    assert branch in vote.reason
    assert world.head(branch) == theirs


def test_a_commit_that_keeps_our_trailers_and_adds_to_it_is_foreign(world: World) -> None:
    prepared(world)
    branch = our_branch(world)
    plan = Edits({PATH: CONTENT}, {PATH: MOVED}).digest
    message = f"Amended\n\nRotation-Id: {MOVE.rotation_id}\nRotation-Plan: {plan}\n"
    theirs = world.push(branch, {"README.md": b"Changed\n"}, message)
    assert prepared(world).answer is Answer.NO
    assert world.head(branch) == theirs


# commit


def test_commit_moves_the_pin_and_nothing_else(world: World) -> None:
    prepared(world)
    assert committed(world).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED
    assert world.read("main", "README.md") == b"The shop\n"


def test_a_second_commit_changes_nothing(world: World) -> None:
    prepared(world)
    committed(world)
    base = world.head("main")
    assert committed(world).answer is Answer.DONE
    assert world.head("main") == base


def test_commit_is_done_when_somebody_else_has_done_it(world: World) -> None:
    prepared(world)
    set_version(world, 4)
    base = world.head("main")
    assert committed(world).answer is Answer.DONE
    assert world.head("main") == base


def test_commit_waits_when_somebody_has_moved_the_pin_elsewhere(world: World) -> None:
    prepared(world)
    set_version(world, 9)
    base = world.head("main")
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert PATH in progress.reason
    assert world.head("main") == base


def test_commit_waits_on_a_branch_that_somebody_builds_on(world: World) -> None:
    prepared(world)
    base, branch = world.head("main"), our_branch(world)
    theirs = world.push(branch, {"NOTES.md": b"Mine\n"}, "Mine")
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert branch in progress.reason
    assert (world.head("main"), world.head(branch)) == (base, theirs)


def test_a_base_that_moves_elsewhere_does_not_matter(world: World) -> None:
    prepared(world)
    world.push("main", {"README.md": b"The shop, and more\n"}, "More")
    assert committed(world).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED
    assert world.read("main", "README.md") == b"The shop, and more\n"


def test_a_base_that_moves_beside_the_pin_is_kept(world: World) -> None:
    prepared(world)
    beside = CONTENT.replace(b"replicas: 3", b"replicas: 5").replace(b'"7"', b'"70"')
    world.push("main", {PATH: beside}, "Beside")
    assert committed(world).answer is Answer.DONE
    assert world.read("main", PATH) == beside.replace(b'"3"', b'"4"')


def test_two_secrets_in_one_file_both_end_merged(world: World) -> None:
    moves = (MOVE, API_MOVE)
    assert [prepared(world, move).answer for move in moves] == [Answer.DONE] * 2
    assert len(world.branches()) == 2
    assert [committed(world, move).answer for move in moves] == [Answer.DONE] * 2
    assert world.read("main", PATH) == MOVED.replace(b'"7"', b'"8"')


def test_two_secrets_whose_rotations_have_one_id_do_not_meet(world: World) -> None:
    other = replace(API_MOVE, rotation_id=MOVE.rotation_id)
    for move in (MOVE, other):
        assert prepared(world, move).answer is Answer.DONE
    assert len(world.branches()) == 2


def test_an_edit_that_has_become_another_is_not_merged(world: World) -> None:
    prepared(world)
    again = CONTENT + b'again: "3"  # {"$rotation": "acme-prod/orders-db"}\n'
    world.push("main", {PATH: again}, "The same secret once more")
    base = world.head("main")
    assert prepared(world).answer is Answer.NO
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert "prepared" in progress.reason
    assert world.head("main") == base


def test_two_stages_of_one_rotation_do_not_meet(world: World) -> None:
    everyone = replace(MOVE, stage="everyone")
    world.push("main", {"all.yaml": CONTENT}, "Everyone")
    prepared(world)
    prepared(world, everyone, path="all.yaml")
    committed(world)
    assert world.read("main", "all.yaml") == CONTENT
    committed(world, everyone, path="all.yaml")
    assert world.read("main", "all.yaml") == MOVED


def test_the_first_version_of_all_is_pinned_where_there_was_none(world: World) -> None:
    set_version(world, 0)
    move = with_versions(None, 4)
    prepared(world, move)
    assert committed(world, move).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED


# abort


def test_abort_without_prepare_does_nothing(world: World) -> None:
    base = world.head("main")
    aborted(world)
    assert (world.head("main"), world.branches()) == (base, set())


def test_abort_removes_what_prepare_made(world: World) -> None:
    base = world.head("main")
    prepared(world)
    aborted(world)
    aborted(world)
    assert (world.head("main"), world.branches()) == (base, set())


def test_abort_leaves_what_somebody_builds_on(world: World) -> None:
    prepared(world)
    branch = our_branch(world)
    theirs = world.push(branch, {"NOTES.md": b"Mine\n"}, "Mine")
    aborted(world)
    assert world.head(branch) == theirs


# revert


def test_revert_after_commit_takes_the_pin_back(world: World) -> None:
    prepared(world)
    committed(world)
    assert reverted(world).answer is Answer.DONE
    assert world.read("main", PATH) == CONTENT
    base = world.head("main")
    assert reverted(world).answer is Answer.DONE
    assert (world.head("main"), world.branches()) == (base, set())


def test_revert_without_commit_leaves_nothing_behind(world: World) -> None:
    base = world.head("main")
    prepared(world)
    assert reverted(world).answer is Answer.DONE
    assert (world.head("main"), world.branches()) == (base, set())


def test_revert_in_the_middle_of_a_commit_takes_back_what_was_merged(world: World) -> None:
    prepared(world)
    with suppress(TemporaryError):
        world.participant().commit(MOVE)
    assert reverted(world).answer is Answer.DONE
    world.settle()
    assert world.read("main", PATH) == CONTENT


@pytest.mark.parametrize("way_back", ["abort", "revert", "commit and revert"])
def test_a_commit_that_comes_after_the_way_back_moves_nothing(world: World, way_back: str) -> None:
    """A worker was stalled before its commit, and another one has gone back meanwhile."""
    until_settled(world, lambda: world.participant().prepare(MOVE))
    if way_back == "commit and revert":
        until_settled(world, lambda: world.participant().commit(MOVE))
    if way_back == "abort":
        world.participant().abort(MOVE)
    else:
        until_settled(world, lambda: world.participant().revert(MOVE))
    assert world.participant().commit(MOVE).answer is Answer.WAIT
    world.settle()
    assert world.read("main", PATH) == CONTENT


def test_revert_leaves_what_somebody_else_has_chosen(world: World) -> None:
    prepared(world)
    committed(world)
    set_version(world, 9)
    base = world.head("main")
    assert reverted(world).answer is Answer.DONE
    assert world.head("main") == base


def test_revert_has_nothing_to_do_after_a_persons_own_roll_back(world: World) -> None:
    prepared(world)
    committed(world)
    set_version(world, 3)
    base = world.head("main")
    assert reverted(world).answer is Answer.DONE
    assert world.head("main") == base


def test_revert_of_a_first_version_has_no_way_back(world: World) -> None:
    set_version(world, 0)
    move = with_versions(None, 4)
    prepared(world, move)
    committed(world, move)
    assert reverted(world, move).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED


# observe, plan, retire


def test_observe_says_what_consumers_get(world: World) -> None:
    assert world.participant().observe(MOVE).versions == {3}
    prepared(world)
    assert world.participant().observe(MOVE).versions == {3}
    committed(world)
    assert world.participant().observe(MOVE).versions == {4}


@pytest.mark.parametrize("content", [CONTENT.replace(b'"3"', b'"latest"'), None])
def test_observe_says_why_it_cannot_tell(world: World, content: bytes | None) -> None:
    world.push("main", {PATH: content}, "Something else")
    served = world.participant().observe(MOVE)
    assert served.versions == frozenset()
    assert PATH in served.unobservable_reason


def test_plan_shows_the_diff_and_changes_nothing(world: World) -> None:
    base = world.head("main")
    plan = world.participant().plan(MOVE)
    (edit,) = plan.edits
    assert edit.place == PATH
    assert '-db_version: "3"' in edit.diff
    assert '+db_version: "4"' in edit.diff
    assert plan.obstacle == ""
    assert (world.head("main"), world.branches()) == (base, set())


def test_plan_names_the_obstacle(world: World) -> None:
    set_version(world, 9)
    plan = world.participant().plan(MOVE)
    assert plan.edits == ()
    assert PATH in plan.obstacle


def test_retire_leaves_no_branch_of_ours(world: World) -> None:
    prepared(world)
    committed(world)
    world.participant().retire(MOVE)
    world.participant().retire(MOVE)
    assert world.branches() == set()
    assert world.read("main", PATH) == MOVED


def test_retire_leaves_what_somebody_builds_on(world: World) -> None:
    prepared(world)
    committed(world)
    branch = our_branch(world)
    theirs = world.push(branch, {"NOTES.md": b"Mine\n"}, "Mine")
    world.participant().retire(MOVE)
    assert world.head(branch) == theirs


def test_one_object_may_serve_a_whole_rotation(world: World) -> None:
    participant = world.participant()
    until_settled(world, lambda: participant.prepare(MOVE))
    until_settled(world, lambda: participant.commit(MOVE))
    assert participant.observe(MOVE).versions == {4}
    until_settled(world, lambda: participant.revert(MOVE))
    assert participant.observe(MOVE).versions == {3}
