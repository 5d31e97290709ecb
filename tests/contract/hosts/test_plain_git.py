"""Plain Git against a real server that dies, refuses, is raced or is old."""

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rotation.model.errors import (
    AccessDeniedError,
    PermanentError,
    RotationError,
    UnknownOutcomeError,
)
from rotation.participants.git import clients
from rotation.participants.git.host import Files, Host, MergeRequest, Readiness, RequestState
from rotation.participants.git.repository import Location, Repository, Token
from rotation.participants.git.wire import Wire
from tests.contract.hosts.test_host_contract import BRANCH, CHANGE, PIN, base_of, written
from tests.support.hosting.bare import Bare
from tests.support.hosting.git_http import git_http
from tests.support.hosting.serving import Request, Response, serve
from tests.support.hosting.sites import SECRET, SITES, Site, Workspace


@pytest.fixture(params=["http", "ssh"])
def site(request: pytest.FixtureRequest, template: Bare, tmp_path: Path) -> Iterator[Site]:
    running = request.getfixturevalue("sshd") if request.param == "ssh" else None
    with SITES[request.param](Workspace(tmp_path, template, running)) as site:
        yield site


def hook(site: Site, name: str, script: str) -> Path:
    path = site.bare.path / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def opened(host: Host) -> tuple[MergeRequest, str]:
    oid, _ = written(host)
    return host.open_request(BRANCH, "main", "Pin", "", draft=False), oid


def test_server_that_dies_before_it_moves_the_base(site: Site) -> None:
    request, oid = opened(site.host())
    base = site.bare.head("main")
    deadly = hook(site, "pre-receive", "kill -9 $PPID")
    with pytest.raises(UnknownOutcomeError):
        site.host().merge(request, "main", oid)
    assert site.bare.head("main") == base
    deadly.unlink()
    assert site.host().merge(request, "main", oid).readiness is Readiness.READY


def test_server_that_dies_after_it_moved_the_base(site: Site) -> None:
    request, oid = opened(site.host())
    hook(site, "post-receive", "kill -9 $PPID")
    with suppress(UnknownOutcomeError):  # the answer may have been on its way
        site.host().merge(request, "main", oid)
    found = site.host().find_request(BRANCH, "main")
    assert found is not None
    assert found.state is RequestState.MERGED
    assert site.host().merge(request, "main", oid).readiness is Readiness.READY


def test_protected_base_is_reported(site: Site) -> None:
    request, oid = opened(site.host())
    base = site.bare.head("main")
    hook(site, "pre-receive", "echo s3cr3t advice >&2; exit 1")
    with pytest.raises(AccessDeniedError) as caught:
        site.host().merge(request, "main", oid)
    assert "main" in str(caught.value)
    assert "protection" in caught.value.remedy
    assert "s3cr3t" not in str(caught.value)
    assert site.bare.head("main") == base


def test_base_that_moves_while_it_is_pushed_to(site: Site) -> None:
    request, oid = opened(site.host())
    base = str(site.bare.head("main"))
    theirs = site.bare.commit("main", {"README.md": b"theirs"}, "Theirs", move=False)
    free = "unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES"
    hook(site, "pre-receive", f"{free}\ngit update-ref refs/heads/main {theirs} {base}")
    assert site.host().merge(request, "main", oid).readiness is Readiness.OUTDATED
    assert site.bare.head("main") == theirs


def test_base_that_moves_while_it_is_looked_at(template: Bare, tmp_path: Path) -> None:
    with SITES["http"](Workspace(tmp_path, template)) as site:
        request, oid = opened(site.host())
        moved: list[str] = []

        def moving(incoming: Request) -> bool:
            if b"command=fetch" in incoming.body and not moved:
                moved.append(site.bare.commit("main", {"README.md": b"theirs"}, "Theirs"))
            return False

        assert site.server is not None
        site.server.fail("reset", moving, times=None)
        assert site.host().merge(request, "main", oid).readiness is Readiness.OUTDATED
        assert [site.bare.head("main")] == moved


def test_base_that_is_gone_is_reported(site: Site) -> None:
    request, oid = opened(site.host())
    site.bare.git("update-ref", "-d", "refs/heads/main")
    for call in (
        lambda: site.host().merge_state(request, "main"),
        lambda: site.host().merge(request, "main", oid),
    ):
        with pytest.raises(PermanentError) as caught:
            call()
        assert caught.value.reason == "branch-gone"


def test_rewritten_base_is_no_fork_of_ours(site: Site) -> None:
    request, oid = opened(site.host())
    site.bare.git("update-ref", "-d", "refs/heads/main")
    rewritten = site.bare.commit("main", {PIN: b"db:\n  version: 3\n"}, "Rewritten")
    host = site.host()
    compared = host.compare(rewritten, oid)
    assert compared.fork is None
    assert host.merge_state(request, "main").readiness is Readiness.OUTDATED
    assert host.merge(request, "main", oid).readiness is Readiness.OUTDATED
    assert site.bare.head("main") == rewritten


def test_same_change_makes_the_same_commit(site: Site) -> None:
    host = site.host()
    base = base_of(host)
    first = host.write(BRANCH, None, base, CHANGE)
    assert host.write("another", None, base, CHANGE) == first
    other = Files(CHANGE.content, "Pin version 4\n\nRotation-Id: 20261124t120000-0001-2\n")
    assert host.write("third", None, base, other) != first
    shown = site.bare.git("show", "-s", "--format=%an <%ae> %cI", first)
    assert shown == "rotation <rotation@example.com> 2026-11-24T12:00:00+00:00"


def test_large_repositories_are_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_of(site.host())
    monkeypatch.setattr(clients, "LARGEST_PACK", 100)
    with pytest.raises(PermanentError) as caught:
        site.host().read(base, PIN)
    assert caught.value.reason == "repository-too-large"


def test_server_of_the_first_protocol_will_do(template: Bare, tmp_path: Path) -> None:
    bare = Workspace(tmp_path, template).bare()
    application = git_http(tmp_path, SECRET)

    def old(request):  # noqa: ANN001, ANN202 - a server that has never heard of version 2
        request.headers.pop("git-protocol", None)
        return application(request)

    with serve(old) as server:
        repository = Repository(f"{server.url}/team/app.git", lambda: Token(SECRET))
        host = Site("git", bare, repository, server).host()
        before = base_of(host)
        oid, _ = written(host)
        bare.commit("main", {"README.md": b"more"}, "The base moves")
        again = Site("git", bare, repository, server).host()
        assert again.read(before, PIN) == b"db:\n  version: 3\n"
        assert again.compare(base_of(again), oid).fork == before


def test_credential_does_not_follow_a_redirect(site: Site) -> None:
    if site.server is None:
        pytest.skip("SSH has no redirects")
    with serve(lambda _request: Response(200)) as elsewhere:
        moved = Response(301, None, {"Location": f"{elsewhere.url}/team/app.git/info/refs"})
        site.server.fail(moved)
        with pytest.raises(PermanentError):
            site.host().head("main")
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("ssh://git@host.example.com/srv/app.git", b"/srv/app.git"),
        ("git@host.example.com:team/app.git", b"team/app.git"),
        ("https://host.example.com/team/app.git", b"/team/app.git"),
        ("https://user@host.example.com:8443/team/app", b"/team/app"),
    ],
)
def test_path_on_the_server_is_as_it_was_written(url: str, path: bytes) -> None:
    assert Wire(Repository(url, lambda: None))._path == path
    assert Location.parse(url).path.endswith("app")


def test_something_else_that_answers_is_reported(site: Site) -> None:
    if site.server is None:
        pytest.skip("asked over HTTP")
    page = Response(200, b"<html>Please log in: s3cr3t</html>", {"Content-Type": "text/html"})
    site.server.fail(page)
    with pytest.raises(PermanentError) as caught:
        site.host().head("main")
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.remedy


def test_names_of_other_branches_may_be_in_any_encoding(site: Site) -> None:
    head = str(site.bare.head("main"))
    packed = site.bare.path / "packed-refs"
    packed.write_bytes(b"# pack-refs with: peeled \n" + head.encode() + b" refs/heads/\xfcber\n")
    assert site.host().head("main") == head


@pytest.mark.parametrize("seed", range(6))
def test_garbled_answers_are_errors_of_ours(template: Bare, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - dice for a test
    bare = Workspace(tmp_path, template).bare()
    application = git_http(tmp_path, SECRET)

    def garbling(request: Request) -> Response:
        response = application(request)
        content = bytearray(response.content)
        if len(content) < 2 or dice.random() < 0.85:
            return response
        place = dice.randrange(len(content))
        if dice.random() < 0.5:
            del content[place:]
        else:
            content[place] ^= 1 << dice.randrange(8)
        return Response(response.status, bytes(content), response.headers)

    with serve(garbling) as server:
        site = Site("git", bare, Repository(f"{server.url}/team/app.git", _token), server)
        right = wrong = 0
        for number in range(12):
            try:
                host = site.host()
                base = host.head("main")
                if base is None:
                    continue
                host.write(f"branch-{number}", None, base, CHANGE)
            except RotationError:
                wrong += 1
            else:
                right += 1
        assert right
        assert wrong
    assert bare.git("fsck", "--strict") == ""


def _token() -> Token:
    return Token(SECRET)
