from collections.abc import Iterator, Sequence
from itertools import cycle

import pytest

from rotation.gates.http import HttpGate, HttpSettings
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import environment, watch
from tests.support.web import Asked, Reply, Web, serve_web

HANG_UP = Reply(raw=b"")


@pytest.fixture
def web() -> Iterator[Web]:
    with serve_web() as web:
        yield web


def check(web: Web, path: str = "/healthz", **settings: object) -> Verdict:
    made = HttpSettings(url=web.url + path, **settings)  # type: ignore[arg-type]
    return HttpGate(made, environment()).check(watch())


def answers(web: Web, replies: Sequence[Reply]) -> None:
    turn = cycle(replies)

    def reply(_asked: Asked) -> Reply:
        return next(turn)

    web.reply = reply


@pytest.mark.parametrize(
    ("status", "look"),
    [(200, Look.PASS), (201, Look.FAIL), (204, Look.FAIL), (302, Look.WAIT), (400, Look.WAIT),
     (401, Look.WAIT), (404, Look.WAIT), (429, Look.WAIT), (500, Look.FAIL), (503, Look.FAIL)],
)  # fmt: skip
def test_a_status_is_seen_or_not(web: Web, status: int, look: Look) -> None:
    web.says(status=status)
    verdict = check(web)
    assert verdict.look is look
    assert f"status {status}" in verdict.evidence


def test_expected_statuses_are_well_whatever_they_are(web: Web) -> None:
    for status in (204, 302, 401, 503):
        web.says(status=status)
        assert check(web, expect=(204, 302, 401, 503)).look is Look.PASS


@pytest.mark.parametrize(
    ("errors", "silent", "look"),
    [(0, 0, Look.PASS), (1, 0, Look.PASS), (2, 0, Look.FAIL), (10, 0, Look.FAIL),
     (0, 1, Look.PASS), (1, 1, Look.WAIT), (0, 2, Look.WAIT), (0, 10, Look.WAIT),
     (2, 8, Look.FAIL)],
)  # fmt: skip
def test_a_rate_of_errors(web: Web, errors: int, silent: int, look: Look) -> None:
    well = [Reply()] * (10 - errors - silent)
    answers(web, [*[Reply(500)] * errors, *[HANG_UP] * silent, *well])
    assert check(web, probes=10, max_error_rate=0.1).look is look
    assert len(web.asked) == 10


def test_silence_is_an_error_where_the_policy_says_so(web: Web) -> None:
    answers(web, [HANG_UP])
    assert check(web).look is Look.WAIT
    assert check(web, unreachable="fail").look is Look.FAIL
    web.says(status=403)  # an answer that says nothing about it
    assert check(web, unreachable="fail").look is Look.WAIT


@pytest.mark.parametrize(
    ("body", "look"),
    [
        (b'{"db": {"ok": true, "n": 1}}', Look.PASS),
        (b'{"db": {"ok": true, "n": 1.0}}', Look.PASS),
        (b'{"db": {"ok": 1, "n": 1}}', Look.FAIL),
        (b'{"db": {"ok": true, "n": true}}', Look.FAIL),
        (b'{"db": {"ok": true, "n": [1]}}', Look.FAIL),
        (b'{"db": {"ok": false}}', Look.FAIL),
        (b'{"db": {"n": 1}}', Look.WAIT),
        (b'{"db": []}', Look.WAIT),
        (b"", Look.WAIT),
    ],
)
def test_a_body_is_compared_as_json(web: Web, body: bytes, look: Look) -> None:
    web.says(body=body)
    verdict = check(web, body={"/db/ok": True, "/db/n": 1})
    assert verdict.look is look


def test_the_query_of_a_url_is_sent_and_not_shown(web: Web) -> None:
    verdict = check(web, "/healthz?key=hunter2")
    assert web.asked[0].path == "/healthz?key=hunter2"
    assert "hunter2" not in verdict.evidence


def test_a_body_nobody_wants_may_be_long(web: Web) -> None:
    web.says(body=b"x" * 3_000_000)
    assert check(web).look is Look.PASS


def test_a_redirect_is_not_followed(web: Web) -> None:
    web.says(status=302, headers={"Location": f"{web.url}/next"})
    check(web)
    assert [asked.path for asked in web.asked] == ["/healthz"]
