from typing import Any

import pytest

from rotation.participants.git.github.merge_state import Rules, judge
from rotation.participants.git.host import Readiness

PULL: dict[str, Any] = {
    "mergeable": "MERGEABLE",
    "mergeStateStatus": "CLEAN",
    "reviewDecision": None,
    "isInMergeQueue": False,
    "isDraft": False,
    "checks": [],
}


def run(name: str, conclusion: str | None, started: str = "1", *, required: bool = True) -> Any:
    return {
        "name": name,
        "status": "COMPLETED" if conclusion else "IN_PROGRESS",
        "conclusion": conclusion,
        "startedAt": started,
        "isRequired": required,
    }


def status(context: str, state: str) -> Any:
    return {"context": context, "state": state, "createdAt": "1", "isRequired": True}


def stands(*checks: Any, rules: Rules | None = None, **changed: Any) -> tuple[Readiness, str]:
    merge_state = judge(
        {**PULL, "checks": checks, **changed}, rules or Rules(), wanted="any", checks="required"
    )
    return merge_state.readiness, merge_state.reason


@pytest.mark.parametrize("state", ["CLEAN", "UNSTABLE", "HAS_HOOKS"])
def test_what_github_would_merge_is_ready(state: str) -> None:
    assert stands(mergeStateStatus=state)[0] is Readiness.READY


@pytest.mark.parametrize("state", ["DRAFT", "BLOCKED"])
def test_a_draft_is_no_obstacle(state: str) -> None:
    assert stands(isDraft=True, mergeStateStatus=state)[0] is Readiness.READY
    assert stands(mergeStateStatus="BLOCKED")[0] is Readiness.WAITING


@pytest.mark.parametrize(
    "changed",
    [{"mergeable": "CONFLICTING"}, {"mergeStateStatus": "BEHIND"}, {"mergeStateStatus": "DIRTY"}],
)
def test_a_base_that_moved_makes_it_outdated(changed: dict[str, str]) -> None:
    assert stands(**changed)[0] is Readiness.OUTDATED


def test_a_check_that_ran_again_counts_by_its_newest_run() -> None:
    first, second = run("lint", "FAILURE", "1"), run("lint", "SUCCESS", "2")
    assert stands(first, second)[0] is Readiness.READY
    assert stands(second, first)[0] is Readiness.READY
    assert stands(first, run("lint", None, "2"))[0] is Readiness.WAITING


@pytest.mark.parametrize("conclusion", ["FAILURE", "TIMED_OUT", "STARTUP_FAILURE"])
def test_a_result_that_stays_refuses(conclusion: str) -> None:
    assert stands(run("lint", conclusion)) == (Readiness.REFUSED, "red: lint")


@pytest.mark.parametrize("conclusion", ["CANCELLED", "STALE", "ACTION_REQUIRED", None])
def test_a_result_that_may_change_waits(conclusion: str | None) -> None:
    assert stands(run("lint", conclusion))[0] is Readiness.WAITING


@pytest.mark.parametrize("conclusion", ["SUCCESS", "NEUTRAL", "SKIPPED"])
def test_a_green_result_is_ready(conclusion: str) -> None:
    assert stands(run("lint", conclusion))[0] is Readiness.READY


@pytest.mark.parametrize(
    ("state", "readiness"),
    [
        ("SUCCESS", Readiness.READY),
        ("PENDING", Readiness.WAITING),
        ("EXPECTED", Readiness.WAITING),
        ("FAILURE", Readiness.REFUSED),
        ("ERROR", Readiness.REFUSED),
    ],
)
def test_commit_statuses_count_like_checks(state: str, readiness: Readiness) -> None:
    assert stands(status("ci/old", state))[0] is readiness


def test_what_is_red_wins_over_what_runs() -> None:
    assert stands(run("a", None), run("b", "FAILURE"))[1] == "red: b"


def test_rules_are_read_from_all_three_places() -> None:
    rules = Rules.read(
        [
            {"type": "required_linear_history"},
            {"type": "merge_queue", "parameters": {}},
            {"type": "pull_request", "parameters": {"allowed_merge_methods": ["squash", "merge"]}},
            {
                "type": "required_status_checks",
                "parameters": {"required_status_checks": [{"context": "new"}]},
            },
            {"type": "something_of_tomorrow"},
        ],
        {"protection": {"required_status_checks": {"contexts": ["old"]}}},
        {"allow_rebase_merge": True, "allow_squash_merge": True, "allow_merge_commit": True},
    )
    assert rules == Rules(frozenset({"new", "old"}), True, frozenset({"squash"}))
    assert (rules.method("any"), rules.method("merge"), rules.method("squash")) == (
        "squash",
        "",
        "squash",
    )


def test_a_repository_that_does_not_say_its_buttons_may_have_them_all() -> None:
    assert Rules.read([], {}, {}).method("any") == "merge"
