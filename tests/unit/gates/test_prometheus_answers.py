import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from rotation.gates import prometheus
from rotation.gates.prometheus import PrometheusGate, PrometheusSettings
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import NOW, TOKENS, environment, samples, watch
from tests.support.web import Asked, Reply, Web, serve_web


@pytest.fixture
def web() -> Iterator[Web]:
    with serve_web() as web:
        yield web


def check(web: Web, **settings: Any) -> Verdict:
    made = PrometheusSettings(**({"url": web.url, "query": "errors"} | settings))
    return PrometheusGate(made, environment()).check(watch())


def answer(**data: Any) -> bytes:
    return json.dumps({"status": "success", "data": data}).encode()


@pytest.mark.parametrize(
    ("values", "look"),
    [(["0"], Look.PASS), (["1"], Look.PASS), (["1.01"], Look.FAIL), (["-0.01"], Look.FAIL),
     (["0", "1", "0.5"], Look.PASS), (["0", "1", "2"], Look.FAIL), (["NaN"], Look.WAIT),
     (["0", "NaN"], Look.WAIT), (["2", "NaN"], Look.FAIL), (["+Inf"], Look.FAIL),
     (["-Inf"], Look.FAIL), (["1e-9"], Look.PASS), (["x"], Look.WAIT), ([], Look.WAIT)],
)  # fmt: skip
def test_every_series_must_be_within_bounds(web: Web, values: list[str], look: Look) -> None:
    web.says(body=samples(*values))
    assert check(web, min=0.0, max=1.0).look is look


def test_a_scalar_is_a_series(web: Web) -> None:
    web.says(body=answer(resultType="scalar", result=[NOW.timestamp(), "0.5"]))
    assert check(web, max=1.0).look is Look.PASS
    assert check(web, max=0.4).look is Look.FAIL


@pytest.mark.parametrize("kind", ["matrix", "string", "streams", None, 7])
def test_other_results_prove_nothing(web: Web, kind: object) -> None:
    value = {"value": [NOW.timestamp(), "0"]}
    web.says(body=answer(resultType=kind, result=[value]))
    assert check(web, max=1.0).look is Look.WAIT


def test_an_answer_with_warnings_is_partial(web: Web) -> None:
    whole = json.loads(samples("0"))
    web.says(body=json.dumps(whole | {"infos": ["metric might not be a counter"]}).encode())
    assert check(web, max=1.0).look is Look.PASS
    web.says(body=json.dumps(whole | {"warnings": ["a store is down"]}).encode())
    assert check(web, max=1.0).look is Look.WAIT


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24 * 365])
def test_an_evaluation_far_from_now_is_stale(web: Web, minutes: int) -> None:
    for value in ("0", "5"):
        web.says(body=samples(value, at=NOW + timedelta(minutes=minutes)))
        assert check(web, max=1.0).look is Look.WAIT


def by_query(control: bytes, query: bytes) -> Any:
    def reply(asked: Asked) -> Reply:
        return Reply(body=control if "timestamp" in asked.path else query)

    return reply


@pytest.mark.parametrize(
    ("ages", "look"),
    [(["15"], Look.PASS), (["0", "299"], Look.PASS), ([], Look.WAIT), (["301"], Look.WAIT),
     (["3", "301"], Look.WAIT), (["NaN"], Look.WAIT), (["-301"], Look.WAIT)],
)  # fmt: skip
def test_a_control_query_proves_that_there_is_fresh_data(
    web: Web, ages: list[str], look: Look
) -> None:
    web.reply = by_query(samples(*ages), samples("0"))
    assert check(web, max=1.0, control="up").look is look


def test_a_blind_control_keeps_a_bad_number_from_failing(web: Web) -> None:
    web.reply = by_query(samples(), samples("9"))
    verdict = check(web, max=1.0, control="up")
    assert verdict.look is Look.WAIT
    assert "control" in verdict.evidence


def test_the_query_is_sent_whole(web: Web) -> None:
    web.says(body=samples("0"))
    check(web, max=1.0, query='sum(rate(x{a="b&c=d#e"}[5m])) / 2 + 1')
    (asked,) = web.asked
    assert asked.path == (
        "/api/v1/query?query=sum%28rate%28x%7Ba%3D%22b%26c%3Dd%23e%22%7D%5B5m%5D%29%29"
        "%20%2F%202%20%2B%201"
    )


# Google's endpoint answers like Prometheus, wants a token, and errs in its own way.

PREFIX = "/v1/projects/acme/location/global/prometheus"


@pytest.fixture
def monitoring(web: Web, monkeypatch: pytest.MonkeyPatch) -> Web:
    """The server stands for Cloud Monitoring."""
    monkeypatch.setattr(prometheus, "_MONITORING", web.url)
    web.reply = google
    return web


def google(asked: Asked) -> Reply:
    if asked.headers["Authorization"] != "Bearer ya29.access-token":
        error = {"code": 401, "message": "no credentials", "status": "UNAUTHENTICATED"}
        return Reply(401, json.dumps({"error": error}).encode())
    if not asked.path.startswith(f"{PREFIX}/api/v1/query?"):
        return Reply(404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>")
    if "denied" in asked.path:
        error = {"code": 403, "message": "Permission monitoring.timeSeries.list denied",
                 "status": "PERMISSION_DENIED"}  # fmt: skip
        return Reply(403, json.dumps({"error": error}).encode())
    if "bad" in asked.path:
        text = {"status": "error", "errorType": "bad_data", "error": "parse error"}
        return Reply(400, json.dumps(text).encode())
    return Reply(body=samples("0.25"))


@pytest.mark.parametrize("suffix", ["", "/", "/api/v1/query"])
def test_google_is_sent_the_access_token(monitoring: Web, suffix: str) -> None:
    settings = {"url": monitoring.url + PREFIX + suffix, "access_token": True, "max": 1.0}
    assert check(monitoring, **settings).look is Look.PASS


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_token": "another"}, "status 401 UNAUTHENTICATED"),
        ({"query": "denied"}, "status 403 PERMISSION_DENIED"),
        ({"query": "bad("}, "status 400 bad_data"),
        ({"url": "/v1/projects/acme/nowhere"}, "status 404"),
    ],
)
def test_google_refuses_in_known_words(
    monitoring: Web, settings: dict[str, Any], words: str
) -> None:
    web, wanted = monitoring, {"query": "errors", "access_token": True, "max": 1.0, **settings}
    token = TOKENS["access"] if wanted["access_token"] is True else str(wanted["access_token"])
    made = PrometheusSettings(
        **{**wanted, "url": web.url + wanted.pop("url", PREFIX), "access_token": True}
    )
    verdict = PrometheusGate(made, environment(access_token=lambda: token)).check(watch())
    assert verdict.look is Look.WAIT
    assert words in verdict.evidence
