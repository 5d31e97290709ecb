"""What metrics and alerts filter on is what the journal writes; nothing promised is left out."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from rotation.engine import events
from tests.deploy.world import ROOT

FOLDER = ROOT / "deploy/monitoring"
METRICS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("metrics/*.json")}
ALERTS = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("alerts/*.json")}
NOW = datetime(2026, 3, 1, tzinfo=UTC)
#: A line for each event, written by what writes it.
LINES = [
    events.blocked("slot-in-use", "somebody is on it"),
    events.blocked("drift", "somebody changed it"),
    events.failing("unreachable", "no answer", events.TOO_OFTEN),
    events.overdue("schedule", NOW, NOW),
    events.too_old(NOW, 60, NOW),
]
#: Events that nobody is called for: what was asked for has happened.
QUIET = {"receipt", "paused", "resumed"}
#: Written on every line of a secret, by the journal.
ALWAYS = {"event", "secret"}
#: Alerts on what Google measures itself.
NOT_OURS = {"dead-letter"}


def asked(metric: dict[str, Any]) -> set[str]:
    texts = [metric["filter"], *metric.get("labelExtractors", {}).values()]
    return {name for text in texts for name in re.findall(r"jsonPayload\.(\w+)", text)}


def event_of(metric: dict[str, Any]) -> str:
    (event,) = re.findall(r'jsonPayload\.event="([a-z-]+)"', metric["filter"])
    return event


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_counts_an_event_that_is_written(name: str) -> None:
    assert event_of(METRICS[name]) in {event.value for event in events.Event}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_reads_fields_that_its_event_has(name: str) -> None:
    event, metric = event_of(METRICS[name]), METRICS[name]
    lines = [line for line in LINES if line[2]["event"] == event]
    page = (ROOT / "deploy/docs/logs.md").read_text()
    for field in asked(metric) - ALWAYS:
        assert f"`{field}`" in page
        assert all(field in line[2] for line in lines), field
    if "severity>=ERROR" in metric["filter"]:
        assert "ERROR" in {line[0] for line in lines}


def test_an_alert_watches_a_metric_that_is_there() -> None:
    for name in ALERTS.keys() - NOT_OURS:
        watched = re.findall(r"logging.googleapis.com/user/rotation-([a-z-]+)", str(ALERTS[name]))
        assert watched, name
        assert set(watched) <= METRICS.keys()


def test_every_event_that_somebody_is_called_for_has_an_alert() -> None:
    text = json.dumps(ALERTS)
    events_watched = {
        event_of(metric) for name, metric in METRICS.items() if f"user/rotation-{name}" in text
    }
    assert events_watched == {event.value for event in events.Event} - QUIET
