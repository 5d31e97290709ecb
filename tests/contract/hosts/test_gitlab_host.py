"""What stands between a GitLab merge request and its merge, and what a merge comes to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotation.model.errors import AccessDeniedError, PermanentError
from rotation.participants.git.host import Host, MergeRequest, Readiness, RequestState
from rotation.participants.git.repository import SshKey
from tests.contract.hosts.test_host_contract import BRANCH, CHANGE, PIN, base_of, written
from tests.support.hosting.bare import Bare
from tests.support.hosting.forge import Forge
from tests.support.hosting.gitlab import GitLabForge
from tests.support.hosting.serving import Response
from tests.support.hosting.sites import Site, Workspace, gitlab_site

READY, WAITING = Readiness.READY, Readiness.WAITING
OUTDATED, REFUSED = Readiness.OUTDATED, Readiness.REFUSED


@pytest.fixture
def site(template: Bare, tmp_path: Path) -> Iterator[Site]:
    with gitlab_site(Workspace(tmp_path, template)) as site:
        yield site


@pytest.fixture
def forge(site: Site) -> GitLabForge:
    assert isinstance(site.forge, GitLabForge)
    return site.forge


@pytest.fixture
def request_(site: Site) -> MergeRequest:
    host = site.host()
    written(host)
    return host.open_request(BRANCH, "main", "Pin", "", draft=False)


def pipeline(status: str) -> Callable[[GitLabForge], None]:
    def change(forge: GitLabForge) -> None:
        forge.only_if_pipeline_succeeds = True
        if status:
            forge.pipeline(BRANCH, status)

    return change


def by_hand(status: str) -> Callable[[GitLabForge], None]:
    return lambda forge: setattr(forge, "status_by_hand", status)


SCENES: dict[str, tuple[Callable[[GitLabForge], None], Readiness, str]] = {
    "no pipeline yet": (pipeline(""), WAITING, "no pipeline"),
    "pipeline running": (pipeline("running"), WAITING, "running"),
    "pipeline waits for a person": (pipeline("manual"), WAITING, "person"),
    "pipeline cancelled": (pipeline("canceled"), WAITING, "cancelled"),
    "pipeline failed": (pipeline("failed"), REFUSED, "failed"),
    "pipeline green": (pipeline("success"), READY, ""),
    "approval missing": (lambda forge: setattr(forge, "approvals_required", 1), WAITING, "approv"),
    "being checked": (lambda forge: setattr(forge, "checks_pending", 99), WAITING, "checking"),
    "changes requested": (by_hand("requested_changes"), REFUSED, "changes"),
    "threads open": (by_hand("discussions_not_resolved"), WAITING, "thread"),
    "rebase needed": (by_hand("need_rebase"), OUTDATED, "moved"),
    "policy denies": (by_hand("policies_denied"), REFUSED, "policy"),
    "a status of next year": (by_hand("moon_phase"), WAITING, "moon_phase"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_merge_state_and_merge_agree(
    site: Site, forge: GitLabForge, request_: MergeRequest, scene: str
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


@pytest.mark.parametrize("scene", ["pipeline failed", "pipeline running", "approval missing"])
def test_draft_hides_nothing(site: Site, forge: GitLabForge, scene: str) -> None:
    host = site.host()
    written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=True)
    assert host.merge_state(request, "main").readiness is READY
    change, readiness, word = SCENES[scene]
    change(forge)
    merge_state = host.merge_state(request, "main")
    assert (merge_state.readiness, word in merge_state.reason) == (readiness, True)
    assert forge.status_of(forge.pulls[0]) == "draft_status"


def test_all_checks_may_be_asked_for(
    site: Site, forge: GitLabForge, request_: MergeRequest
) -> None:
    forge.pipeline(BRANCH, "failed")
    assert site.host().merge_state(request_, "main").readiness is READY
    assert site.host(checks="all").merge_state(request_, "main").readiness is REFUSED


def test_auto_merge_is_handed_over_and_found_merged(
    site: Site, forge: GitLabForge, request_: MergeRequest
) -> None:
    forge.only_if_pipeline_succeeds = True
    forge.pipeline(BRANCH, "running")
    host = site.host(auto_merge=True)
    for _ in range(2):
        merge_state = host.merge(request_, "main", request_.head)
        assert merge_state.readiness is WAITING
    assert not forge.pulls[0].merged
    forge.pipeline(BRANCH, "success")
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert found.state is RequestState.MERGED
    assert host.merge(request_, "main", request_.head).readiness is READY


def test_squash_is_passed_on(site: Site, request_: MergeRequest) -> None:
    base = str(site.bare.head("main"))
    host = site.host(merge_method="squash")
    assert host.merge(request_, "main", request_.head).readiness is READY
    assert site.bare.parents(str(site.bare.head("main"))) == (base,)
    assert site.bare.file("main", PIN) == CHANGE.content[PIN]


def test_fast_forward_project_wants_the_change_on_the_new_base(
    site: Site, forge: GitLabForge, request_: MergeRequest
) -> None:
    forge.merge_method = "ff"
    moved = site.bare.commit("main", {"README.md": b"more"}, "The base moves")
    host = site.host()
    assert host.merge(request_, "main", request_.head).readiness is OUTDATED
    again = host.write(BRANCH, request_.head, moved, CHANGE)
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert host.merge(found, "main", again).readiness is READY


def test_token_that_may_not_merge_is_reported(
    site: Site, forge: GitLabForge, request_: MergeRequest
) -> None:
    forge.may_merge = False
    with pytest.raises(AccessDeniedError):
        site.host().merge(request_, "main", request_.head)


def test_token_that_may_not_push_is_reported(site: Site, forge: GitLabForge) -> None:
    forge.may_push = False
    with pytest.raises(AccessDeniedError) as caught:
        site.host().write(BRANCH, None, base_of(site.host()), CHANGE)
    assert caught.value.remedy


def test_branch_that_the_rules_forbid_is_reported(site: Site) -> None:
    assert site.server is not None
    refusal = Response(400, {"message": "Branch name does not follow the pattern"})
    site.server.fail(refusal, lambda request: request.method == "POST", times=None)
    with pytest.raises(PermanentError) as caught:
        site.host().write(BRANCH, None, base_of(site.host()), CHANGE)
    assert "rule" in caught.value.remedy


def test_request_from_a_fork_is_not_ours(
    site: Site, forge: GitLabForge, request_: MergeRequest
) -> None:
    body = forge._body(forge.pulls[0])
    fork = {**body, "iid": 99, "source_project_id": 8}
    assert site.server is not None
    site.server.fail(Response(200, [fork, body]))
    found = site.host().find_request(BRANCH, "main")
    assert found is not None
    assert found.number == request_.number


def test_long_comparison_is_made_by_git_itself(site: Site) -> None:
    host = site.host()
    oid, base = written(host)
    answer = {"commits": [], "diffs": [], "compare_timeout": True}
    assert site.server is not None
    site.server.fail(Response(200, answer), lambda request: request.path.endswith("/compare"))
    compared = host.compare(base, oid)
    assert ([one.oid for one in compared.commits], compared.paths) == ([oid], {PIN})


def test_something_else_that_answers_is_reported(site: Site) -> None:
    assert site.server is not None
    site.server.fail(Response(200, {"please": "log in"}))
    with pytest.raises(PermanentError) as caught:
        site.host().commit(str(site.bare.head("main")))
    assert "proxy" in caught.value.remedy


def test_key_is_no_token(site: Site) -> None:
    key = SshKey("git", b"", "")
    host: Host = site.host(credentials=lambda: key)
    with pytest.raises(PermanentError) as caught:
        host.head("main")
    assert "token" in str(caught.value)


def test_every_forge_has_a_site() -> None:
    assert {one.__name__ for one in Forge.__subclasses__()} >= {"GitLabForge", "GiteaForge"}
