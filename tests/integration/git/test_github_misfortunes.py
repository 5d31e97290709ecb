import re
from datetime import timedelta

import pytest
from msgspec.structs import replace

from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
)
from rotation.model.rollout import Answer
from rotation.participants.git.settings import Auth, PinnedFile
from tests.contract.participants.github_world import PERSONAL, GitHubWorld
from tests.contract.participants.subject import (
    API_MOVE,
    CONTENT,
    MOVE,
    MOVED,
    PATH,
    aborted,
    committed,
    prepared,
    reverted,
)
from tests.support.forges.github.forge import Pull
from tests.support.forges.github.server import TOKEN, Failure
from tests.support.forges.store import EXECUTABLE, PLAIN, SYMLINK

BESIDE = CONTENT.replace(b'"7"', b'"70"')


def only_pull(world: GitHubWorld) -> Pull:
    (pull,) = world.forge.pulls
    return pull


def head_of(world: GitHubWorld) -> str:
    return world.forge.heads(only_pull(world))[0]


def still_previous(world: GitHubWorld) -> bool:
    return world.read("main", PATH) == CONTENT


# Checks and reviews


def test_a_red_check_that_is_required_refuses(world: GitHubWorld) -> None:
    world.forge.rules.checks = ("lint",)
    world.forge.robots = {"lint": "FAILURE"}
    vote = prepared(world)
    assert (vote.answer, vote.reason) == (Answer.NO, "red: lint")
    assert vote.link.endswith("/pull/1")


def test_a_red_check_that_nobody_requires_refuses_only_when_all_must_be_green(
    world: GitHubWorld,
) -> None:
    world.forge.robots = {"nice-to-have": "FAILURE"}
    assert prepared(world).answer is Answer.DONE
    assert prepared(world, checks="all").answer is Answer.NO


@pytest.mark.parametrize("conclusion", ["", "CANCELLED", "STALE"])
def test_a_check_that_has_not_ended_for_good_is_waited_for(
    world: GitHubWorld, conclusion: str
) -> None:
    world.forge.rules.checks = ("lint",)
    world.forge.robots = {"lint": conclusion}
    vote = prepared(world)
    assert (vote.answer, vote.reason) == (Answer.WAIT, "checks are not done: lint")
    world.forge.report(head_of(world), "lint", "SUCCESS")
    assert prepared(world).answer is Answer.DONE


@pytest.mark.parametrize("which", ["checks", "protected_checks"])
def test_a_required_check_that_never_started_is_waited_for_by_name(
    world: GitHubWorld, which: str
) -> None:
    setattr(world.forge.rules, which, ("deploy-preview",))
    vote = prepared(world)
    assert (vote.answer, vote.reason) == (Answer.WAIT, "checks are not done: deploy-preview")
    world.forge.report(head_of(world), "deploy-preview", "SUCCESS", is_status=True)
    assert prepared(world).answer is Answer.DONE


def test_a_required_check_among_hundreds_is_found(world: GitHubWorld) -> None:
    world.forge.rules.checks = ("zz-last",)
    world.forge.robots = {f"job-{number:03}": "SUCCESS" for number in range(150)}
    assert prepared(world).answer is Answer.WAIT
    world.forge.report(head_of(world), "zz-last", "SUCCESS")
    assert prepared(world).answer is Answer.DONE


def test_a_missing_review_is_waited_for_and_then_it_goes_on(world: GitHubWorld) -> None:
    world.forge.rules.reviews = 1
    vote = prepared(world)
    assert (vote.answer, vote.reason) == (Answer.WAIT, "a required review is missing")
    only_pull(world).reviews["ann"] = "APPROVED"
    assert prepared(world).answer is Answer.DONE
    assert committed(world).answer is Answer.DONE


def test_a_reviewer_who_asks_for_changes_refuses(world: GitHubWorld) -> None:
    world.forge.rules.reviews = 1
    prepared(world)
    only_pull(world).reviews["ann"] = "CHANGES_REQUESTED"
    assert prepared(world).answer is Answer.NO


def test_it_stays_a_draft_until_its_turn_comes(world: GitHubWorld) -> None:
    prepared(world)
    assert only_pull(world).draft
    committed(world)
    assert only_pull(world).merged


@pytest.mark.parametrize("urgent", [False, True])
def test_no_draft_where_none_is_wanted_or_possible(world: GitHubWorld, urgent: bool) -> None:  # noqa: FBT001
    world.forge.rules.allow_drafts = urgent
    prepared(world, replace(MOVE, urgent=urgent))
    assert not only_pull(world).draft


def test_a_plan_without_rulesets_is_no_obstacle(world: GitHubWorld) -> None:
    world.forge.rules.has_rulesets = False
    prepared(world)
    assert committed(world).answer is Answer.DONE


# Merging


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_the_method_is_one_that_the_repository_allows(world: GitHubWorld, method: str) -> None:
    world.forge.rules.methods = (method,)
    prepared(world)
    assert committed(world).answer is Answer.DONE
    merged = only_pull(world).merged
    assert merged is not None
    assert len(world.forge.store.parents(merged)) == (2 if method == "merge" else 1)
    world.participant().retire(MOVE)
    assert world.branches() == set()


def test_a_method_that_is_not_allowed_refuses_before_anything_has_moved(
    world: GitHubWorld,
) -> None:
    world.forge.rules.methods = ("squash",)
    vote = prepared(world, merge_method="merge")
    assert vote.answer is Answer.NO
    assert "merge" in vote.reason


def test_a_merge_queue_is_joined_and_waited_for(world: GitHubWorld) -> None:
    world.forge.rules.has_queue = True
    world.forge.rules.checks = ("lint",)
    world.forge.robots = {"lint": "SUCCESS"}
    assert prepared(world).answer is Answer.DONE
    reasons = set()
    for _round in range(3):
        progress = world.participant().commit(MOVE)
        reasons.add(progress.reason)
    assert only_pull(world).in_queue
    assert "it is in the merge queue" in reasons
    assert committed(world).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED


def test_a_merge_queue_that_throws_it_out_is_joined_again(world: GitHubWorld) -> None:
    world.forge.rules.has_queue = True
    prepared(world)
    for _round in range(3):
        world.participant().commit(MOVE)
    only_pull(world).in_queue = False
    assert committed(world).answer is Answer.DONE


def test_auto_merge_is_turned_on_while_something_is_missing(world: GitHubWorld) -> None:
    prepared(world)
    world.forge.rules.reviews = 1
    waiting = committed(world, auto_merge=True)
    assert (waiting.answer, waiting.reason) == (Answer.WAIT, "a required review is missing")
    assert only_pull(world).auto_merge == "merge"
    only_pull(world).reviews["ann"] = "APPROVED"
    world.settle()
    assert world.read("main", PATH) == MOVED
    assert committed(world).answer is Answer.DONE


def test_auto_merge_does_not_outlive_a_revert(world: GitHubWorld) -> None:
    prepared(world)
    world.forge.rules.reviews = 1
    committed(world, auto_merge=True)
    assert reverted(world).answer is Answer.DONE
    only_pull(world).reviews["ann"] = "APPROVED"
    world.settle()
    assert still_previous(world)


def test_two_rotations_under_a_strict_rule_both_end_merged(world: GitHubWorld) -> None:
    world.forge.rules.checks = ("lint",)
    world.forge.rules.strict = True
    world.forge.robots = {"lint": "SUCCESS"}
    for move in (MOVE, API_MOVE):
        assert prepared(world, move).answer is Answer.DONE
    for move in (MOVE, API_MOVE):
        assert committed(world, move).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED.replace(b'"7"', b'"8"')


def test_a_conflict_is_resolved_without_force_and_stays_signed(world: GitHubWorld) -> None:
    world.forge.rules.signed = True
    prepared(world)
    first = head_of(world)
    world.push("main", {PATH: BESIDE}, "The line beside it")
    assert committed(world).answer is Answer.DONE
    assert world.read("main", PATH) == BESIDE.replace(b'"3"', b'"4"')
    assert first in world.forge.store.ancestors(head_of(world))


def test_a_base_that_rests_is_not_written_on_twice(world: GitHubWorld) -> None:
    prepared(world)
    world.push("main", {PATH: BESIDE}, "The line beside it")
    world.forge.lag = 4
    for _round in range(6):
        world.participant().prepare(MOVE)
    assert world.forge.lag == 0
    base = world.head("main")
    assert base is not None
    assert len(world.forge.store.ahead(base, head_of(world))) == 2


def test_the_button_update_branch_does_not_make_the_branch_foreign(world: GitHubWorld) -> None:
    prepared(world)
    world.push("main", {"README.md": b"More\n"}, "More")
    store, branch = world.forge.store, only_pull(world).branch
    head, base = store.head(branch), store.head("main")
    assert head is not None
    assert base is not None
    tree = store.merged_tree(head, base)
    assert tree is not None
    store.move(branch, head, store.commit(tree, (head, base), "Merge branch 'main'"))
    assert prepared(world).answer is Answer.DONE
    assert committed(world).answer is Answer.DONE


def test_an_executable_file_stays_executable(world: GitHubWorld) -> None:
    store = world.forge.store
    base = world.head("main")
    assert base is not None
    script = (
        b'gcloud run deploy --set-secrets=DB=orders-db:3 # {"$rotation": "acme-prod/orders-db"}\n'
    )
    tree = store.tree(store.tree_of(base), {"deploy.sh": EXECUTABLE}, {"deploy.sh": script})
    store.move("main", base, store.commit(tree, (base,), "A script"))
    prepared(world, path="deploy.sh")
    assert committed(world, path="deploy.sh").answer is Answer.DONE
    merged = world.head("main")
    assert merged is not None
    entry = store.entry(merged, "deploy.sh")
    assert entry is not None
    assert entry[0] == EXECUTABLE
    assert store.read(merged, "deploy.sh") == script.replace(b":3", b":4")


def test_a_symbolic_link_is_no_file(world: GitHubWorld) -> None:
    store = world.forge.store
    base = world.head("main")
    assert base is not None
    tree = store.tree(store.tree_of(base), {"link.yaml": SYMLINK}, {"link.yaml": CONTENT})
    store.move("main", base, store.commit(tree, (base,), "A link"))
    vote = prepared(world, path="link.yaml")
    assert vote.answer is Answer.NO
    assert "link.yaml" in vote.reason


# People


def test_a_closed_request_is_a_no(world: GitHubWorld) -> None:
    prepared(world)
    world.forge.close(1)
    vote = prepared(world)
    assert vote.answer is Answer.NO
    assert "#1 was closed" in vote.reason
    assert len(world.forge.pulls) == 1


def test_a_request_closed_after_the_vote_is_waited_for_until_it_is_opened_again(
    world: GitHubWorld,
) -> None:
    prepared(world)
    world.forge.close(1)
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert "#1 was closed" in progress.reason
    assert still_previous(world)
    world.forge.reopen(1)
    assert committed(world).answer is Answer.DONE


def test_a_deleted_branch_closes_the_request_and_is_a_no(world: GitHubWorld) -> None:
    prepared(world)
    world.forge.delete_branch(only_pull(world).branch)
    assert committed(world).answer is Answer.WAIT
    assert prepared(world).answer is Answer.NO
    assert world.branches() == set()


def test_a_person_who_merges_early_is_believed(world: GitHubWorld) -> None:
    prepared(world, draft=False)
    world.forge.merge(only_pull(world), "merge")
    assert prepared(world).answer is Answer.DONE
    assert committed(world).answer is Answer.DONE
    assert len(world.forge.pulls) == 1


def test_what_was_merged_by_hand_is_taken_back_by_an_abort(world: GitHubWorld) -> None:
    prepared(world, draft=False)
    world.forge.merge(only_pull(world), "merge")
    aborted(world)
    assert still_previous(world)
    assert world.branches() == set()


def test_a_persons_roll_back_wins_over_a_commit_that_is_repeated(world: GitHubWorld) -> None:
    prepared(world)
    committed(world)
    world.push("main", {PATH: CONTENT}, "Back, by hand")
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert "taken back" in progress.reason
    assert still_previous(world)
    assert len(world.forge.pulls) == 1


def test_a_person_who_sets_it_again_after_a_revert_wins(world: GitHubWorld) -> None:
    prepared(world)
    committed(world)
    reverted(world)
    world.push("main", {PATH: MOVED}, "Again, by hand")
    assert reverted(world).answer is Answer.DONE
    assert world.read("main", PATH) == MOVED


def test_a_revert_request_that_is_closed_is_waited_for(world: GitHubWorld) -> None:
    prepared(world)
    committed(world)
    world.forge.rules.reviews = 1
    assert reverted(world).reason == "a required review is missing"
    world.forge.close(2)
    progress = reverted(world)
    assert progress.answer is Answer.WAIT
    assert "#2 was closed" in progress.reason


def test_a_revert_shrinks_when_a_person_has_taken_back_a_part(world: GitHubWorld) -> None:
    files = {"files": (PinnedFile(PATH), PinnedFile("all.yaml")), "path": ""}
    world.push("main", {"all.yaml": CONTENT}, "Everyone")
    prepared(world, **files)
    committed(world, **files)
    world.forge.rules.reviews = 1
    assert reverted(world, **files).answer is Answer.WAIT
    world.push("main", {"all.yaml": CONTENT}, "A part, by hand")
    world.forge.rules.reviews = 0
    assert reverted(world, **files).answer is Answer.DONE
    assert still_previous(world)
    assert world.read("main", "all.yaml") == CONTENT


def test_an_open_request_that_somebody_builds_on_holds_a_revert(world: GitHubWorld) -> None:
    prepared(world)
    world.push(only_pull(world).branch, {"NOTES.md": b"Mine\n"}, "Mine")
    progress = reverted(world)
    assert progress.answer is Answer.WAIT
    assert "builds on" in progress.reason
    assert only_pull(world).state == "open"


# The repository


def test_a_base_that_was_force_pushed_stops_and_touches_nothing(world: GitHubWorld) -> None:
    store = world.forge.store
    prepared(world)
    tree = store.tree(None, {PATH: PLAIN}, {PATH: CONTENT})
    store.move("main", store.head("main"), store.commit(tree, (), "A new history"))
    head = head_of(world)
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert "shares no history" in progress.reason
    assert head_of(world) == head
    assert still_previous(world)


def test_a_base_that_lost_its_newest_commits_stops_too(world: GitHubWorld) -> None:
    store = world.forge.store
    before = store.head("main")
    world.push("main", {"README.md": b"More\n"}, "More")
    prepared(world)
    store.move("main", store.head("main"), before)
    progress = committed(world)
    assert progress.answer is Answer.WAIT
    assert "is not ours" in progress.reason


def test_a_base_that_is_gone_is_named(world: GitHubWorld) -> None:
    vote = prepared(world, base="production")
    assert vote.answer is Answer.NO
    assert "production" in vote.reason
    prepared(world)
    world.forge.delete_branch("main")
    assert "main is gone" in committed(world).reason
    assert "main is gone" in world.participant().observe(MOVE).unobservable_reason


def test_a_rule_that_forbids_our_branch_names_the_remedy(world: GitHubWorld) -> None:
    world.forge.rules.closed_to_creation = True
    with pytest.raises(AccessDeniedError, match=r"secret-rotation-\*"):
        world.participant().prepare(MOVE)


def test_a_rule_that_keeps_our_branch_does_not_keep_the_request(world: GitHubWorld) -> None:
    prepared(world)
    world.forge.rules.closed_to_deletion = True
    aborted(world)
    assert only_pull(world).state == "closed"
    assert world.branches() == {only_pull(world).branch}


@pytest.mark.parametrize(
    ("attribute", "value", "error", "words"),
    [
        ("gone", True, NotFoundError, "URL"),
        ("renamed_to", "acme/store", PermanentError, "present URL"),
        ("archived", True, AccessDeniedError, "rights"),
    ],
)
def test_a_repository_that_cannot_be_worked_with_names_the_remedy(
    world: GitHubWorld, attribute: str, value: object, error: type[RotationError], words: str
) -> None:
    setattr(world.forge, attribute, value)
    with pytest.raises(error) as raised:
        world.participant().prepare(MOVE)
    assert words in raised.value.remedy


# Credentials and limits


def test_an_expired_token_is_renewed_once(world: GitHubWorld) -> None:
    prepared(world)
    world.server.expire_tokens()
    assert committed(world).answer is Answer.DONE


@pytest.mark.parametrize(("minutes", "asked_again"), [(60, False), (4, True)])
def test_an_apps_token_is_kept_until_shortly_before_it_ends(
    world: GitHubWorld,
    minutes: int,
    asked_again: bool,  # noqa: FBT001
) -> None:
    world.server.token_life = timedelta(minutes=minutes)
    prepared(world)
    committed(world)
    asked = [e for e in world.server.exchanges if e.path.endswith("/access_tokens")]
    assert (len(asked) > 1) == asked_again


def test_a_token_may_stand_in_for_an_app(world: GitHubWorld) -> None:
    auth = Auth(token=PERSONAL)
    assert prepared(world, auth=auth).answer is Answer.DONE
    assert committed(world, auth=auth).answer is Answer.DONE
    assert not any(e.path.endswith("/access_tokens") for e in world.server.exchanges)


def test_a_token_that_is_no_longer_good_names_the_remedy(world: GitHubWorld) -> None:
    world.server.expire_tokens()
    with pytest.raises(AccessDeniedError, match="revoked"):
        world.participant(auth=Auth(token=PERSONAL)).prepare(MOVE)


def test_the_rights_asked_for_are_those_that_a_pin_needs(world: GitHubWorld) -> None:
    prepared(world)
    asked = [e.sent for e in world.server.exchanges if e.path.endswith("/access_tokens")]
    rights = {"contents": "write", "pull_requests": "write", "checks": "read", "statuses": "read"}
    assert asked[-1] == {"repositories": ["shop"], "permissions": rights}


def test_a_pin_in_a_workflow_asks_for_the_right_to_change_it(world: GitHubWorld) -> None:
    path = ".github/workflows/deploy.yaml"
    world.push("main", {path: CONTENT}, "A workflow")
    prepared(world, path=path)
    asked = [e.sent for e in world.server.exchanges if e.path.endswith("/access_tokens")]
    assert asked[-1]["permissions"]["workflows"] == "write"


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Failure.PRIMARY_LIMIT, r"rate limit is spent; free again at \d\d:\d\d:\d\d UTC, in \d+ s"),
        (Failure.SECONDARY_LIMIT, r"rate limit is spent; free again in 61 s"),
    ],
)
def test_a_rate_limit_says_until_when(world: GitHubWorld, failure: Failure, words: str) -> None:
    prepared(world)
    world.server.fail(3, failure)
    with pytest.raises(TemporaryError, match=words):
        world.participant().commit(MOVE)


def test_no_secret_is_ever_shown(world: GitHubWorld) -> None:
    shown = []
    for number in range(16):
        world.server.fail(number, list(Failure)[number % 5])
        participant = world.participant()
        shown += [repr(participant), repr(vars(participant)), repr(vars(participant._host))]
        try:
            shown.append(repr(participant.prepare(MOVE)))
        except RotationError as error:
            shown += [repr(error), str(error), repr(error.__cause__), repr(error.__context__)]
    text = "\n".join(shown)
    traffic = "\n".join(f"{e.path}{e.query}{e.sent}" for e in world.server.exchanges)
    for secret in (*world.server.tokens, "PRIVATE KEY"):
        assert secret not in text
        assert secret not in traffic
    assert TOKEN in world.server.tokens


def test_a_request_shows_versions_and_digests_only(world: GitHubWorld) -> None:
    prepared(world, replace(MOVE, reason="leaked by Bob", requested_by="ann@example"))
    pull = only_pull(world)
    text = f"{pull.title}\n{pull.body}\n{world.forge.store.message(head_of(world))}"
    assert "Bob" not in text
    assert "ann@" not in text
    assert re.search(r"^Rotation-Plan: sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert f"Rotation-Id: {MOVE.rotation_id}" in text
