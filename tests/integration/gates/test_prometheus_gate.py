"""The gate ``prometheus`` against a real Prometheus server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotation.gates.prometheus import PrometheusGate, PrometheusSettings
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import environment, watch
from tests.support.web import Reply

from .prometheus import Monitoring, needs_prometheus, serve_prometheus, wait_for

pytestmark = needs_prometheus


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with serve_prometheus(folder) as monitoring:
        yield monitoring


def check(monitoring: Monitoring, query: str, **settings: Any) -> Verdict:
    made = PrometheusSettings(**({"url": monitoring.url, "query": query, "max": 1.0} | settings))
    return PrometheusGate(made, environment()).check(watch(now=datetime.now(UTC)))


def test_a_number_is_held_against_its_threshold(monitoring: Monitoring) -> None:
    monitoring.expose(orders_errors=0.25)
    verdict = check(monitoring, "orders_errors", control="up{job='orders'}")
    assert verdict.look is Look.PASS
    assert "0.25" in verdict.evidence
    assert check(monitoring, "orders_errors", max=0.2).look is Look.FAIL
    assert check(monitoring, "orders_errors", max=None, min=0.5).look is Look.FAIL


def test_every_series_counts(monitoring: Monitoring) -> None:
    monitoring.expose(orders_errors=0.5, orders_late=3)
    both = '{__name__=~"orders_errors|orders_late"}'
    assert check(monitoring, both, max=3.0).look is Look.PASS
    verdict = check(monitoring, both)
    assert verdict.look is Look.FAIL
    assert "1 of 2 outside" in verdict.evidence


def test_a_scalar_is_read(monitoring: Monitoring) -> None:
    assert check(monitoring, "scalar(vector(0.5))").look is Look.PASS


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("no_such_metric", "no data"),
        ("vector(0) / 0", "NaN"),
        ("up[1m]", "no instant vector"),
        ('"text"', "no instant vector"),
        ("sum(", "status 400 bad_data"),
        ("count(up) by (", "status 400 bad_data"),
    ],
)
def test_what_proves_nothing_waits(monitoring: Monitoring, query: str, words: str) -> None:
    verdict = check(monitoring, query)
    assert verdict.look is Look.WAIT
    assert words in verdict.evidence


@pytest.mark.parametrize(
    ("control", "look"),
    [
        ("up{job='orders'}", Look.PASS),
        ("sum(up)", Look.PASS),
        ("up # every target", Look.PASS),
        ("up{job='nobody'}", Look.WAIT),
        ("up ==", Look.WAIT),
        ("up offset 1h", Look.WAIT),
    ],
)
def test_a_control_query_must_have_data(monitoring: Monitoring, control: str, look: Look) -> None:
    verdict = check(monitoring, "no_such_metric or vector(0)", control=control)
    assert verdict.look is look


def test_an_exporter_that_went_away_is_old_data(monitoring: Monitoring) -> None:
    monitoring.expose(orders_errors=0)
    assert check(monitoring, "orders_errors", control="orders_errors").look is Look.PASS
    reply, monitoring.exporter.reply = monitoring.exporter.reply, lambda _asked: Reply(500)
    try:
        wait_for(lambda: not monitoring.query("orders_errors"), "that the series ended")
        verdict = check(monitoring, "sum(orders_errors) or vector(0)", control="orders_errors")
    finally:
        monitoring.exporter.reply = reply
    assert verdict.look is Look.WAIT
    assert "control query: no data" in verdict.evidence


def test_samples_older_than_allowed_are_seen_to_be(monitoring: Monitoring) -> None:
    monitoring.shows("up offset 5s")
    # Held back by five seconds: what a slow pipeline would show.
    old = 'last_over_time(up{job="orders"}[10s] offset 5s)'
    verdict = check(monitoring, "vector(0)", control=old, fresh_for=timedelta(seconds=3))
    assert verdict.look is Look.PASS  # of an expression the age is not known...
    verdict = check(monitoring, "vector(0)", control="up offset 5s", fresh_for=timedelta(seconds=3))
    assert verdict.look is Look.WAIT  # ... of a selector it is
    assert "older than 3 s" in verdict.evidence
