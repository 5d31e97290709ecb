"""What every call makes of every failure: the right class of error, and no secret in it.

Each row is a call and a failure of one of its requests; the request that fails is chosen in turn
until the call no longer sends that many, so that every request of every call has failed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnknownOutcomeError,
)
from rotation.participants.git.host import Host, MergeRequest
from tests.contract.hosts.test_host_contract import BRANCH, CHANGE, PIN, base_of, written
from tests.support.hosting.serving import Request, Response, Trouble
from tests.support.hosting.sites import SITES, Site, Workspace

SERVED = ["http", "gitlab", "gitea"]
#: A body that servers should not send, and messages must not show.
BODY = {"message": "s3cr3t in a body"}
#: Calls that plain Git answers without asking.
NOTHING_IS_SENT = ("make_ready", "close_request")


@dataclass(frozen=True)
class Luck:
    """A failure, and what becomes of a read and of a change."""

    what: Response | Trouble
    read: type[Exception]
    change: type[Exception]
    word: str = ""


LUCK: Mapping[str, Luck] = {
    "500": Luck(Response(500, BODY), TemporaryError, UnknownOutcomeError, "500"),
    "502": Luck(Response(502, BODY), TemporaryError, UnknownOutcomeError, "502"),
    "503": Luck(Response(503, BODY), TemporaryError, TemporaryError, "503"),
    "429": Luck(Response(429, BODY, {"Retry-After": "37"}), TemporaryError, TemporaryError, "37 s"),
    "401": Luck(Response(401, BODY), AccessDeniedError, AccessDeniedError),
    "403": Luck(Response(403, BODY), AccessDeniedError, AccessDeniedError),
    "301": Luck(
        Response(301, BODY, {"Location": "https://elsewhere.example.com/"}),
        PermanentError,
        PermanentError,
        "another address",
    ),
    "reset": Luck("reset", TemporaryError, UnknownOutcomeError),
}


@pytest.fixture(params=SERVED)
def site(request, template, tmp_path):  # noqa: ANN001, ANN201 - as in conftest
    with SITES[request.param](Workspace(tmp_path, template)) as site:
        yield site


def _opened(host: Host) -> MergeRequest:
    return host.open_request(BRANCH, "main", "Pin", "", draft=False)


def _drafted(host: Host) -> MergeRequest:
    return host.open_request(BRANCH, "main", "Pin", "", draft=True)


#: What is made beforehand, by a host without bad luck; and the call that has it.
Prepared = Callable[[Host], object]
CALLS: Mapping[str, tuple[Prepared, Callable[[Host, object], object]]] = {
    "head": (base_of, lambda host, _: host.head("main")),
    "commit": (base_of, lambda host, base: host.commit(base)),
    "read": (base_of, lambda host, base: host.read(base, PIN)),
    "compare": (written, lambda host, both: host.compare(both[1], both[0])),
    "write": (base_of, lambda host, base: host.write(BRANCH, None, base, CHANGE)),
    "find_request": (written, lambda host, _: host.find_request(BRANCH, "main")),
    "open_request": (written, lambda host, _: _opened(host)),
    "make_ready": (
        lambda host: (written(host), _drafted(host))[1],
        lambda host, request: host.make_ready(request),
    ),
    "merge_state": (
        lambda host: (written(host), _opened(host))[1],
        lambda host, request: host.merge_state(request, "main"),
    ),
    "merge": (
        lambda host: (written(host), _opened(host))[1],
        lambda host, request: host.merge(request, "main", request.head),
    ),
    "close_request": (
        lambda host: (written(host), _opened(host))[1],
        lambda host, request: host.close_request(request),
    ),
    "delete_branch": (written, lambda host, both: host.delete_branch(BRANCH, both[0])),
}


def is_change(request: Request) -> bool:
    if "git-upload-pack" in str(request):
        return False
    return request.method != "GET"


@pytest.mark.slow  # all of them together
@pytest.mark.parametrize("luck", LUCK)
@pytest.mark.parametrize("call", CALLS)
def test_every_request_of_every_call_may_fail(site: Site, call: str, luck: str) -> None:
    prepare, act = CALLS[call]
    before = prepare(site.host())
    failed = 0
    while (
        failure := fail_from(site, LUCK[luck], failed, lambda host: act(host, before))
    ) is not None:
        error, victim = failure
        expected = LUCK[luck].change if is_change(victim) else LUCK[luck].read
        assert isinstance(error, expected), f"{victim}: {error!r}"
        assert is_change(victim) or not isinstance(error, UnknownOutcomeError)
        assert LUCK[luck].word in str(error)
        assert_tells_nothing(error)
        failed += 1
    assert failed or (site.forge is None and call in NOTHING_IS_SENT)


def fail_from(
    site: Site, luck: Luck, number: int, act: Callable[[Host], object]
) -> tuple[Exception, Request] | None:
    """Let all requests from this one on fail; None when the call does not send so many."""
    assert site.server is not None
    requests: list[Request] = []

    def is_victim(request: Request) -> bool:
        requests.append(request)
        return len(requests) > number

    site.server.failures.clear()
    site.server.fail(luck.what, is_victim, times=None)
    try:
        act(site.host())
    except (TemporaryError, PermanentError) as error:
        return error, requests[number]
    return None


def assert_tells_nothing(error: BaseException) -> None:
    cause: BaseException | None = error
    while cause is not None:
        assert "s3cr3t" not in repr(cause)
        assert "s3cr3t" not in str(cause)
        cause = None if cause.__suppress_context__ else cause.__cause__ or cause.__context__


def test_repository_that_is_gone_is_no_missing_branch(site: Site) -> None:
    host = site.host(url=site.repository.url.replace("team/app", "team/none"))
    base = str(site.bare.head("main"))
    for call in (
        lambda: host.head("main"),
        lambda: host.read(base, PIN),
        lambda: host.find_request(BRANCH, "main"),
        lambda: host.write(BRANCH, None, base, CHANGE),
    ):
        with pytest.raises(NotFoundError) as caught:
            call()
        assert caught.value.remedy


def test_token_that_was_refused_is_asked_for_again(site: Site) -> None:
    assert site.server is not None
    site.server.fail(Response(401, BODY))
    if site.forge:
        assert site.host().head("main") == site.bare.head("main")


def test_silence_ends_a_read_and_leaves_a_change_unknown(site: Site) -> None:
    assert site.server is not None
    base = base_of(site.host())
    site.server.fail("silent")
    with pytest.raises(TemporaryError) as caught:
        site.host(answer_seconds=1.0).head("main")
    assert not isinstance(caught.value, UnknownOutcomeError)
    site.server.fail("silent", is_change)
    with pytest.raises(UnknownOutcomeError):
        site.host(answer_seconds=5.0).write(BRANCH, None, base, CHANGE)


def test_nobody_listens(site: Site) -> None:
    assert site.server is not None
    site.server.shutdown()
    site.server.server_close()
    with pytest.raises(TemporaryError) as caught:
        site.host(connect_seconds=1.0).head("main")
    assert not isinstance(caught.value, UnknownOutcomeError)


def _unheard(site: Site) -> None:
    assert site.server is not None
    site.server.fail("unheard", is_change)


def test_unheard_write_is_found(site: Site) -> None:
    base = base_of(site.host())
    _unheard(site)
    with pytest.raises(UnknownOutcomeError):
        site.host().write(BRANCH, None, base, CHANGE)
    host = site.host()
    head = host.head(BRANCH)
    again = host.write(BRANCH, None if head != base else head, base, CHANGE)
    assert site.bare.head(BRANCH) == again
    assert site.bare.parents(again) == (base,)
    assert site.bare.count(f"{base}..{BRANCH}") == 1


def test_unheard_request_is_found(site: Site) -> None:
    if site.forge is None:
        pytest.skip("nothing is sent")
    written(site.host())
    _unheard(site)
    with pytest.raises(UnknownOutcomeError):
        _opened(site.host())
    assert site.host().find_request(BRANCH, "main") == _opened(site.host())
    assert len(site.forge.pulls) == 1


def test_unheard_merge_is_found(site: Site) -> None:
    oid, _ = written(site.host())
    request = _opened(site.host())
    _unheard(site)
    with pytest.raises(UnknownOutcomeError):
        site.host().merge(request, "main", oid)
    merged = site.bare.head("main")
    found = site.host().find_request(BRANCH, "main")
    assert found is not None
    assert found.state.value == "merged"
    assert site.host().merge(request, "main", oid).readiness.value == "ready"
    assert site.bare.head("main") == merged


def test_unheard_deletion_is_no_matter(site: Site) -> None:
    oid, _ = written(site.host())
    _unheard(site)
    with pytest.raises(UnknownOutcomeError):
        site.host().delete_branch(BRANCH, oid)
    site.host().delete_branch(BRANCH, oid)
    assert site.bare.head(BRANCH) is None
