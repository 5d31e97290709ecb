from collections.abc import Callable, Iterator, Mapping

import pytest
from github import Auth, Github, GithubException, InputGitTreeElement
from github.PullRequest import PullRequest
from github.Repository import Repository

from tests.contract.participants.github_world import GitHubWorld
from tests.contract.participants.subject import CONTENT, MOVE, MOVED, PATH, committed, prepared
from tests.support.forges.github.published import Published
from tests.support.forges.github.server import APP, INSTALLATION, TOKEN, Exchange

# PyGithub, a client that nobody here wrote, drives the stand-in; and the check against what GitHub
# publishes is shown to find faults.


@pytest.fixture
def client(world: GitHubWorld) -> Iterator[Github]:
    client = Github(
        auth=Auth.Token(TOKEN), base_url=world.server.url, retry=None, seconds_between_requests=0
    )
    yield client
    client.close()


@pytest.fixture
def repository(client: Github) -> Repository:
    return client.get_repo("acme/shop")


def test_pygithub_takes_a_change_from_branch_to_merge(
    world: GitHubWorld, repository: Repository
) -> None:
    base = repository.get_git_ref("heads/main").object.sha
    repository.create_git_ref("refs/heads/change", base)
    blob = repository.create_git_blob(MOVED.decode(), "utf-8")
    element = InputGitTreeElement(PATH, "100644", "blob", sha=blob.sha)
    parent = repository.get_git_commit(base)
    tree = repository.create_git_tree([element], parent.tree)
    commit = repository.create_git_commit("Change", tree, [parent])
    repository.get_git_ref("heads/change").edit(commit.sha)
    pull = repository.create_pull("main", "change", title="Change", body="", draft=True)
    assert (pull.draft, pull.mergeable) == (True, None)
    assert repository.get_pull(pull.number).mergeable is True
    pull.mark_ready_for_review()
    assert pull.merge(sha=commit.sha).merged
    assert pull.is_merged()
    assert world.read("main", PATH) == MOVED
    compared = repository.compare(base, repository.get_git_ref("heads/main").object.sha)
    assert [file.filename for file in compared.files] == [PATH]


def test_pygithub_sees_the_request_that_we_made(world: GitHubWorld, repository: Repository) -> None:
    vote = prepared(world)
    (pull,) = repository.get_pulls()
    assert (pull.html_url, pull.draft, pull.title) == (
        vote.link,
        True,
        "Rotate orders-db to version 4",
    )
    assert repository.get_git_commit(pull.head.sha).verification.verified
    committed(world)
    (merged,) = repository.get_pulls(state="closed")
    assert merged.merged_at is not None
    assert repository.get_git_blob(blob_id(repository)).content


def blob_id(repository: Repository) -> str:
    tree = repository.get_git_tree(repository.get_git_ref("heads/main").object.sha)
    return next(element.sha for element in tree.tree if element.path == "README.md")


def test_pygithub_as_an_app_gets_a_token(world: GitHubWorld) -> None:
    auth = Auth.AppAuth(APP, world.server.pem.decode()).get_installation_auth(INSTALLATION)
    with Github(auth=auth, base_url=world.server.url, retry=None) as client:
        assert client.get_repo("acme/shop").full_name == "acme/shop"


CHANGE = "refs/heads/change"


def go_back(repository: Repository) -> None:
    ref = repository.get_git_ref("heads/main")
    ref.edit(repository.get_git_commit(ref.object.sha).parents[0].sha)


MISTAKES: Mapping[str, tuple[int, Callable[[Repository, PullRequest], object]]] = {
    "force": (422, lambda repository, _pull: go_back(repository)),
    "stale": (409, lambda _repository, pull: pull.merge(sha=pull.base.sha)),
    "twice": (422, lambda repository, pull: repository.create_git_ref(CHANGE, pull.head.sha)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_pygithub_is_refused_what_github_refuses(
    world: GitHubWorld, repository: Repository, mistake: str
) -> None:
    status, make = MISTAKES[mistake]
    later = world.push("main", {"README.md": b"More\n"}, "More")
    repository.create_git_ref(CHANGE, later)
    world.push("change", {PATH: CONTENT + b"# more\n"}, "Change")
    pull = repository.create_pull("main", "change", title="Change", body="")
    with pytest.raises(GithubException) as raised:
        make(repository, pull)
    assert raised.value.status == status


def exchange(**changed: object) -> Exchange:
    good: dict[str, object] = {
        "method": "POST",
        "path": "/repos/acme/shop/git/refs",
        "query": {},
        "sent": {"ref": "refs/heads/x", "sha": "0" * 40},
        "status": 201,
        "answered": {
            "ref": "refs/heads/x",
            "node_id": "R",
            "url": "https://example",
            "object": {"type": "commit", "sha": "0" * 40, "url": "https://example"},
        },
    }
    return Exchange(**{**good, **changed})  # type: ignore[arg-type]


def test_what_github_publishes_is_at_hand(github_published: Published | str) -> None:
    if isinstance(github_published, str):
        pytest.skip(github_published)
    assert github_published.faults([exchange()]) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"path": "/repos/acme/shop/git/rfs"}, "no such endpoint"),
        ({"query": {"forse": "1"}}, "unknown parameter forse"),
        ({"sent": {"ref": "refs/heads/x", "sha": "0" * 40, "force": 1}}, "unknown member force"),
        ({"sent": {"ref": "refs/heads/x"}}, "'sha' is a required property"),
        ({"status": 200}, "status 200 is not declared"),
        ({"answered": {"ref": "refs/heads/x"}}, "'node_id' is a required property"),
        ({"path": "/graphql", "sent": {"query": "{ nothing }"}}, "Cannot query field 'nothing'"),
        (
            {
                "path": "/graphql",
                "sent": {
                    "query": "mutation M($input: UpdateRefsInput!)"
                    " { updateRefs(input: $input) { clientMutationId } }",
                    "variables": {"input": {"repositoryId": "R"}},
                },
            },
            "refUpdates",
        ),
        (
            {
                "path": "/graphql",
                "sent": {
                    "query": 'query Q($n: Int!) { repository(owner: "a", name: "b")'
                    " { pullRequest(number: $n) { mergeable } } }",
                    "variables": {"n": 1},
                },
                "answered": {"data": {"repository": {"pullRequest": {"mergeable": "PERHAPS"}}}},
            },
            "PERHAPS",
        ),
    ],
)
def test_the_check_finds_what_is_wrong(
    github_published: Published | str, changed: dict[str, object], words: str
) -> None:
    if isinstance(github_published, str):
        pytest.skip(github_published)
    assert any(words in fault for fault in github_published.faults([exchange(**changed)]))


def test_what_we_said_was_checked_at_all(world: GitHubWorld) -> None:
    prepared(world)
    committed(world)
    names = {checked.name for checked in world.server.exchanges}
    assert {"query MergeState", "mutation Commit", "mutation Ready"} <= names
    assert any(name.startswith("PUT") for name in names)
    assert MOVE.change.next == 4
