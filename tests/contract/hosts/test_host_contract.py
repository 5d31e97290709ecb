"""What every host must do, on every host."""

import pytest

from rotation.model.errors import EtagMismatchError, RotationError
from rotation.participants.git.host import Files, Host, Readiness, RequestState
from tests.support.hosting.sites import FILES, Site

PIN = "deploy/prod/pin.yaml"
MESSAGE = "Pin version 4\n\nRotation-Id: 20261124t120000-0001-1\n"
CHANGE = Files({PIN: b"db:\n  version: 4\n"}, MESSAGE)
BRANCH = "rotation/20261124t120000-0001-1/all"


def base_of(host: Host) -> str:
    head = host.head("main")
    assert head is not None
    return head


def written(host: Host) -> tuple[str, str]:
    """Our commit on a branch of ours; it and the base."""
    base = base_of(host)
    return host.write(BRANCH, None, base, CHANGE), base


def test_head_of_a_branch_and_of_none(site: Site, host: Host) -> None:
    assert host.head("main") == site.bare.head("main")
    assert host.head("no/such branch") is None


def test_commit_shows_parents_and_message(site: Site, host: Host) -> None:
    head = base_of(host)
    parent = site.bare.parents(head)[0]
    oid = site.bare.commit("main", {"README.md": b"more"}, "Two words\n\nTrailer: ü\n")
    commit = host.commit(oid)
    assert (commit.oid, commit.parents) == (oid, (head,))
    assert commit.message.strip() == "Two words\n\nTrailer: ü"
    assert host.commit(head).parents == (parent,)


@pytest.mark.parametrize("path", FILES)
def test_files_are_read_byte_for_byte(path: str, host: Host) -> None:
    assert host.read(base_of(host), path) == FILES[path]


@pytest.mark.parametrize("path", ["none.txt", "deploy", "deploy/prod", "README.md/below"])
def test_what_is_no_file_is_not_read(path: str, host: Host) -> None:
    assert host.read(base_of(host), path) is None


def test_links_are_no_files(site: Site, host: Host) -> None:
    if site.kind == "gitlab":
        pytest.skip("GitLab's API does not tell a link from a file")
    assert host.read(base_of(host), "link") is None


def test_files_are_read_as_of_an_older_commit(site: Site, host: Host) -> None:
    before = base_of(host)
    site.bare.commit("main", {PIN: b"db:\n  version: 9\n"}, "Later")
    assert host.read(before, PIN) == FILES[PIN]
    assert site.host().read(before, PIN) == FILES[PIN]


def test_written_commit_holds_nothing_but_the_change(site: Site, host: Host) -> None:
    oid, base = written(host)
    assert site.bare.head(BRANCH) == oid
    assert site.bare.head("main") == base
    assert site.bare.parents(oid) == (base,)
    assert site.bare.file(oid, PIN) == b"db:\n  version: 4\n"
    assert site.bare.git("diff", "--name-only", base, oid) == PIN
    assert host.commit(oid).message.strip() == MESSAGE.strip()


def test_several_files_change_in_one_commit(site: Site, host: Host) -> None:
    files = {path: FILES[path] + b"\x00\xff\r\n" for path in FILES} | {"new/file": b"new"}
    base = base_of(host)
    oid = host.write(BRANCH, None, base, Files(files, MESSAGE))
    assert {path: site.bare.file(oid, path) for path in files} == files
    assert site.bare.count(f"{base}..{oid}") == 1


def test_modes_of_files_stay(site: Site, host: Host) -> None:
    oid = host.write(BRANCH, None, base_of(host), Files({"run.sh": b"#!/bin/bash\n"}, MESSAGE))
    assert site.bare.git("ls-tree", oid, "run.sh").startswith("100755 ")


def test_repeated_write_finds_the_first(site: Site, host: Host) -> None:
    oid, base = written(host)
    assert site.host().write(BRANCH, None, base, CHANGE) == oid
    assert site.bare.count(f"{base}..{BRANCH}") == 1


def test_branch_of_somebody_else_is_not_written(site: Site, host: Host) -> None:
    base = base_of(host)
    theirs = site.bare.commit(BRANCH, {PIN: b"theirs"}, "Mine!", parents=(base,))
    with pytest.raises(EtagMismatchError):
        host.write(BRANCH, None, base, CHANGE)
    assert site.bare.head(BRANCH) == theirs


def test_commit_of_somebody_else_on_our_branch_is_not_lost(site: Site, host: Host) -> None:
    oid, base = written(host)
    site.bare.commit("main", {PIN: b"db:\n  version: 3\n  # new\n"}, "The base moves")
    theirs = site.bare.commit(BRANCH, {"README.md": b"theirs"}, "A fix")
    with pytest.raises(EtagMismatchError):
        host.write(BRANCH, oid, base_of(host), CHANGE)
    with pytest.raises(EtagMismatchError):
        host.write(BRANCH, base, base, CHANGE)
    assert site.bare.head(BRANCH) == theirs


def test_empty_branch_gets_the_commit(site: Site, host: Host) -> None:
    base = base_of(host)
    site.bare.git("update-ref", f"refs/heads/{BRANCH}", base)
    oid = host.write(BRANCH, base, base, CHANGE)
    assert site.bare.parents(oid) == (base,)
    assert site.bare.head(BRANCH) == oid


def test_branch_left_behind_by_the_base_starts_again_from_it(site: Site, host: Host) -> None:
    old = base_of(host)
    site.bare.git("update-ref", f"refs/heads/{BRANCH}", old)
    new = site.bare.commit("main", {"README.md": b"more"}, "The base moves")
    oid = host.write(BRANCH, old, new, CHANGE)
    assert site.bare.parents(oid) == (new,)


def test_change_is_made_again_on_a_base_that_moved(site: Site, host: Host) -> None:
    first, _ = written(host)
    new_base = site.bare.commit("main", {PIN: b"# top\ndb:\n  version: 3\n"}, "The base moves")
    again = Files({PIN: b"# top\ndb:\n  version: 4\n"}, MESSAGE)
    oid = host.write(BRANCH, first, new_base, again)
    assert site.bare.parents(oid) == (first, new_base)
    assert site.bare.git("diff", "--name-only", new_base, oid) == PIN
    assert site.bare.file(oid, PIN) == b"# top\ndb:\n  version: 4\n"
    assert site.host().write(BRANCH, first, new_base, again) == oid
    compared = site.host().compare(new_base, oid)
    assert (compared.fork, compared.paths) == (new_base, {PIN})
    assert [one.oid for one in compared.commits] == [first, oid]


def test_comparing_shows_what_the_branch_has_and_the_base_has_not(site: Site, host: Host) -> None:
    oid, base = written(host)
    theirs = site.bare.commit(BRANCH, {"README.md": None}, "Away")
    site.bare.commit("main", {"other": b""}, "The base moves")
    compared = host.compare(base_of(host), theirs)
    assert compared.fork == base
    assert [one.oid for one in compared.commits] == [oid, theirs]
    assert compared.paths == {PIN, "README.md"}
    assert compared.commits[0].message.strip() == MESSAGE.strip()


def test_comparing_with_what_the_base_has_shows_nothing(site: Site, host: Host) -> None:
    base = base_of(host)
    older = site.bare.parents(base)[0]
    compared = host.compare(base, older)
    assert (compared.fork, compared.commits, compared.paths) == (older, (), frozenset())
    assert host.compare(base, base).commits == ()


def test_comparing_looks_far_back(site: Site, host: Host) -> None:
    oid, base = written(host)
    for number in range(40):
        site.bare.commit("main", {"counter": str(number).encode()}, f"Commit {number}")
    compared = host.compare(base_of(host), oid)
    assert compared.fork == base
    assert [one.oid for one in compared.commits] == [oid]


def test_request_is_opened_once(site: Site, host: Host) -> None:
    oid, _ = written(host)
    if site.forge:
        assert host.find_request(BRANCH, "main") is None
    request = host.open_request(BRANCH, "main", "Pin version 4", "Why", draft=False)
    assert (request.state, request.head, request.draft) == (RequestState.OPEN, oid, False)
    assert site.host().open_request(BRANCH, "main", "Pin", "Why", draft=True) == request
    assert site.host().find_request(BRANCH, "main") == request
    if site.forge:
        assert len(site.forge.pulls) == 1
        assert site.forge.pulls[0].body == "Why"


def test_there_is_no_request_without_a_branch(host: Host) -> None:
    assert host.find_request(BRANCH, "main") is None


def test_draft_is_made_ready_and_then_merged(site: Site, host: Host) -> None:
    oid, _ = written(host)
    request = host.open_request(BRANCH, "main", "Pin version 4", "Why", draft=True)
    assert request.draft is bool(site.forge)
    assert host.merge_state(request, "main").readiness is Readiness.READY
    host.make_ready(request)
    host.make_ready(request)
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert not found.draft
    if site.forge:
        assert site.forge.pulls[0].title == "Pin version 4"
    assert host.merge(found, "main", oid).readiness is Readiness.READY
    assert site.bare.file("main", PIN) == b"db:\n  version: 4\n"


def test_merged_request_stays_merged(site: Site, host: Host) -> None:
    oid, base = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    assert host.merge(request, "main", oid).readiness is Readiness.READY
    merged = base_of(host)
    assert site.bare.is_ancestor(base, merged)
    site.bare.commit("main", {"README.md": b"later"}, "The base moves on")
    again = site.host()
    assert again.merge(request, "main", oid).readiness is Readiness.READY
    found = again.find_request(BRANCH, "main")
    assert found is not None
    assert (found.state, found.head) == (RequestState.MERGED, oid)
    assert again.merge_state(found, "main").readiness is Readiness.READY
    assert site.bare.git("log", "--format=%s", "main").count("Pin") <= 2


def test_base_that_moved_elsewhere_is_no_obstacle_to_a_forge(site: Site, host: Host) -> None:
    oid, _ = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    site.bare.commit("main", {"README.md": b"more"}, "The base moves")
    expected = Readiness.READY if site.forge else Readiness.OUTDATED
    assert host.merge_state(request, "main").readiness is expected
    assert host.merge(request, "main", oid).readiness is expected


def test_base_that_moved_under_the_change_makes_it_outdated(site: Site, host: Host) -> None:
    oid, _ = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    moved = site.bare.commit("main", {PIN: b"db:\n  version: 7\n"}, "The base moves")
    for merge_state in (host.merge_state(request, "main"), host.merge(request, "main", oid)):
        assert merge_state.readiness is Readiness.OUTDATED
        assert merge_state.reason
    assert site.bare.head("main") == moved
    again = host.write(BRANCH, oid, moved, CHANGE)
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert host.merge(found, "main", again).readiness is Readiness.READY
    assert site.bare.file("main", PIN) == b"db:\n  version: 4\n"


def test_draft_that_is_outdated_says_so(site: Site, host: Host) -> None:
    written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=True)
    site.bare.commit("main", {PIN: b"db:\n  version: 7\n"}, "The base moves")
    assert host.merge_state(request, "main").readiness is Readiness.OUTDATED


def test_request_with_commits_of_others_is_not_merged(site: Site, host: Host) -> None:
    oid, base = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    site.bare.commit(BRANCH, {"README.md": b"theirs"}, "A fix")
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert host.merge(found, "main", oid).readiness is Readiness.REFUSED
    if site.forge:
        assert host.merge(request, "main", oid).readiness is Readiness.REFUSED
    assert site.bare.head("main") == base


def test_closed_request_is_found_closed_and_followed_by_a_new_one(site: Site, host: Host) -> None:
    oid, base = written(host)
    request = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    host.close_request(request)
    host.close_request(request)
    if not site.forge:
        return
    found = host.find_request(BRANCH, "main")
    assert found is not None
    assert (found.state, found.number) == (RequestState.CLOSED, request.number)
    assert host.merge(found, "main", oid).readiness is Readiness.REFUSED
    assert site.bare.head("main") == base
    second = host.open_request(BRANCH, "main", "Pin", "", draft=False)
    assert second.number != request.number
    assert host.find_request(BRANCH, "main") == second
    host.close_request(second)
    newest = host.find_request(BRANCH, "main")
    assert newest is not None
    assert newest.number == second.number


def test_branch_is_deleted_only_with_the_expected_head(site: Site, host: Host) -> None:
    oid, base = written(host)
    theirs = site.bare.commit(BRANCH, {"README.md": b"theirs"}, "A fix")
    host.delete_branch(BRANCH, oid)
    assert site.bare.head(BRANCH) == theirs
    host.delete_branch(BRANCH, theirs)
    assert site.bare.head(BRANCH) is None
    host.delete_branch(BRANCH, theirs)
    assert site.bare.head("main") == base


def test_messages_of_errors_hold_no_credential(site: Site) -> None:
    host = site.host(url=site.repository.url.replace("team/app", "team/none"))
    with pytest.raises(RotationError) as caught:
        host.head("main")
    assert "none" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.reason == "not-found"
