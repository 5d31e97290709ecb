"""What stands between a Gitea pull request and its merge, and what a merge comes to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotation.model.errors import EtagMismatchError, PermanentError, TemporaryError
from rotation.participants.git.host import MergeRequest, Readiness, RequestState
from tests.contract.hosts.test_host_contract import BRANCH, CHANGE, PIN, base_of, written
from tests.support.hosting.bare import Bare
from tests.support.hosting.gitea import GiteaForge
from tests.support.hosting.serving import Request, Response
from tests.support.hosting.sites import Site, Workspace, gitea_site

READY, WAITING = Readiness.READY, Readiness.WAITING
OUTDATED, REFUSED = Readiness.OUTDATED, Readiness.REFUSED
Change = Callable[[GiteaForge], None]


@pytest.fixture
def site(template: Bare, tmp_path: Path) -> Iterator[Site]:
    with gitea_site(Workspace(tmp_path, template)) as site:
        yield site


@pytest.fixture
def forge(site: Site) -> GiteaForge:
    assert isinstance(site.forge, GiteaForge)
    return site.forge


@pytest.fixture
def request_(site: Site) -> MergeRequest:
    host = site.host()
    written(host)
    return host.open_request(BRANCH, "main", "Pin", "", draft=False)


def checks(required: list[str], **states: str) -> Change:
    def change(forge: GiteaForge) -> None:
        forge.enable_status_check = True
        forge.required_checks = required
        for context, state in states.items():
            forge.status(BRANCH, context, state)

    return change


def reviews(needed: int, **words: str) -> Change:
    def change(forge: GiteaForge) -> None:
        forge.required_approvals = needed
        for login, word in words.items():
            forge.review(1, login, word)

    return change


def one_changes_its_mind(forge: GiteaForge) -> None:
    forge.review(1, "ada", "REQUEST_CHANGES")
    forge.review(1, "ada", "COMMENT")
    forge.review(1, "ada", "APPROVED")


SCENES: dict[str, tuple[Change, Readiness, str]] = {
    "check not begun": (checks(["ci"]), WAITING, "ci has not begun"),
    "check running": (checks(["ci"], ci="pending"), WAITING, "ci is running"),
    "check failed": (checks(["ci"], ci="failure"), REFUSED, "ci has failed"),
    "check green": (checks(["ci"], ci="success"), READY, ""),
    "check by pattern": (checks(["ci*"], ci_lint="success", ci_test="success"), READY, ""),
    "other check red": (checks(["ci"], ci="success", other="failure"), READY, ""),
    "approval missing": (reviews(2, ada="APPROVED"), WAITING, "1 of 2 approvals"),
    "approved": (reviews(1, ada="APPROVED"), READY, ""),
    "changes requested": (reviews(0, ada="REQUEST_CHANGES"), REFUSED, "changes"),
    "mind changed": (one_changes_its_mind, READY, ""),
    "may not merge": (lambda forge: setattr(forge, "user_can_merge", False), REFUSED, "may not"),
    "being checked": (lambda forge: setattr(forge, "checks_pending", 99), WAITING, "checking"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_merge_state_and_merge_agree(
    site: Site, forge: GiteaForge, request_: MergeRequest, scene: str
) -> None:
    change, readiness, word = SCENES[scene]
    change(forge)
    merge_state = site.host().merge_state(request_, "main")
    assert merge_state.readiness is readiness
    assert word in merge_state.reason
    assert (merge_state.reason == "") is (readiness is READY)
    merged = site.host().merge(request_, "main", request_.head)
    assert merged.readiness is readiness
    assert forge.pulls[0].merged is (readiness is READY)


@pytest.mark.parametrize("scene", ["check failed", "check running", "approval missing"])
def test_draft_hides_nothing(site: Site, forge: GiteaForge, scene: str) -> None:
    host = site.host()
    written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=True)
    assert host.merge_state(request, "main").readiness is READY
    change, readiness, word = SCENES[scene]
    change(forge)
    merge_state = host.merge_state(request, "main")
    assert (merge_state.readiness, word in merge_state.reason) == (readiness, True)


def test_all_checks_may_be_asked_for(site: Site, forge: GiteaForge, request_: MergeRequest) -> None:
    forge.status(BRANCH, "optional", "failure")
    assert site.host().merge_state(request_, "main").readiness is READY
    assert site.host(checks="all").merge_state(request_, "main").readiness is REFUSED


def test_outdated_branch_is_made_again_where_the_base_asks_for_it(
    site: Site, forge: GiteaForge, request_: MergeRequest
) -> None:
    forge.block_on_outdated = True
    moved = site.bare.commit("main", {"README.md": b"more"}, "The base moves")
    host = site.host()
    assert host.merge(request_, "main", request_.head).readiness is OUTDATED
    again = host.write(BRANCH, request_.head, moved, CHANGE)
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert host.merge(found, "main", again).readiness is READY


def test_auto_merge_is_handed_over_and_found_merged(
    site: Site, forge: GiteaForge, request_: MergeRequest
) -> None:
    checks(["ci"], ci="pending")(forge)
    host = site.host(auto_merge=True)
    for _ in range(2):
        assert host.merge(request_, "main", request_.head).readiness is WAITING
    assert not forge.pulls[0].merged
    forge.status(BRANCH, "ci", "success")
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert found.state is RequestState.MERGED
    assert host.merge(request_, "main", request_.head).readiness is READY


@pytest.mark.parametrize(
    ("wanted", "allowed", "default", "parents"),
    [
        ("any", ["merge", "squash"], "merge", 2),
        ("any", ["merge", "squash"], "squash", 1),
        ("any", ["squash"], "merge", 1),
        ("squash", ["merge", "squash"], "merge", 1),
        ("merge", ["merge", "squash"], "squash", 2),
    ],
)
def test_merge_method_is_one_that_is_allowed(
    site: Site,
    forge: GiteaForge,
    request_: MergeRequest,
    wanted: str,
    allowed: list[str],
    default: str,
    parents: int,
) -> None:
    forge.merge_styles, forge.default_style = allowed, default
    host = site.host(merge_method=wanted)
    assert host.merge(request_, "main", request_.head).readiness is READY
    assert len(site.bare.parents(str(site.bare.head("main")))) == parents
    assert site.bare.file("main", PIN) == CHANGE.content[PIN]


def test_who_comes_between_branch_and_commit_is_found(site: Site) -> None:
    host = site.host()
    base = base_of(host)
    assert site.forge is not None
    make_branch = site.forge.routes[2]
    assert make_branch.method == "POST"
    calls: list[str] = []

    def with_company(request: Request) -> bool:
        if str(request).startswith("POST") and request.path.endswith("/contents"):
            calls.append(site.bare.commit(BRANCH, {"README.md": b"theirs"}, "Quick!"))
        return False

    assert site.server is not None
    site.server.fail("reset", with_company, times=None)
    with pytest.raises(EtagMismatchError):
        host.write(BRANCH, None, base, CHANGE)
    assert site.bare.is_ancestor(calls[0], str(site.bare.head(BRANCH)))


def test_branch_without_its_commit_is_gone_on_with(site: Site) -> None:
    host = site.host()
    base = base_of(host)
    assert site.server is not None
    site.server.fail(Response(500), lambda request: request.path.endswith("/contents"))
    with pytest.raises(TemporaryError):
        host.write(BRANCH, None, base, CHANGE)
    assert site.bare.head(BRANCH) == base
    oid = site.host().write(BRANCH, None, base, CHANGE)
    assert site.bare.parents(oid) == (base,)


def test_newest_request_is_found_among_many(site: Site, forge: GiteaForge) -> None:
    host = site.host()
    written(host)
    first = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    host.close_request(first)
    for number in range(60):
        site.bare.git("update-ref", f"refs/heads/other-{number}", "main")
        host.open_request(f"other-{number}", "main", "Other", "", draft=False)
    second = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    host.close_request(second)
    for number in range(60, 120):
        site.bare.git("update-ref", f"refs/heads/other-{number}", "main")
        host.open_request(f"other-{number}", "main", "Other", "", draft=False)
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert found.number == second.number


def test_base_that_is_gone_is_reported(site: Site, request_: MergeRequest) -> None:
    site.bare.git("update-ref", "-d", "refs/heads/main")
    merge_state = site.host().merge_state(request_, "main")
    assert (merge_state.readiness, "main" in merge_state.reason) == (REFUSED, True)


def test_file_that_the_api_leaves_out_is_reported(site: Site) -> None:
    assert site.server is not None
    site.server.fail(Response(200, {"type": "file", "path": PIN, "content": None}))
    with pytest.raises(PermanentError) as caught:
        site.host().read(str(site.bare.head("main")), PIN)
    assert PIN in str(caught.value)
