import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from rotation.gates.consumers import ConsumersGate, ConsumersSettings
from rotation.model.errors import TemporaryError
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import (
    NOW,
    NUMBER,
    ROTATION_ID,
    SECRET,
    environment,
    report,
    watch,
)
from tests.support.web import Web, serve_web

ARRIVED, LATE = {"version": 7}, {"version": 6}
REFUSED = LATE | {"failing": {"version": 7, "reason": "refused", "since": NOW.isoformat()}}


@pytest.fixture
def webs() -> Iterator[list[Web]]:
    with ExitStack() as stack:
        yield [stack.enter_context(serve_web()) for _ in range(3)]


def check(webs: list[Web], *bodies: bytes, env: Any = None, **settings: Any) -> Verdict:
    for web, body in zip(webs, bodies, strict=False):
        web.says(body=body)
    urls = tuple(f"{web.url}/rotation" for web in webs[: len(bodies)])
    gate = ConsumersGate(ConsumersSettings(urls=urls, **settings), env or environment())
    return gate.check(watch())


@pytest.mark.parametrize(
    ("entry", "look"),
    [
        ({"version": 7, "since": "2026-05-04T11:58:00Z"}, Look.PASS),
        ({"version": 7, "new_key": [1]}, Look.PASS),
        ({"rotation_id": ROTATION_ID}, Look.PASS),
        ({"version": 6, "rotation_id": ROTATION_ID}, Look.WAIT),
        ({"version": 8}, Look.WAIT),
        (REFUSED, Look.FAIL),
        (LATE | {"failing": {"version": 7, "reason": "failed"}}, Look.FAIL),
        (LATE | {"failing": {"rotation_id": ROTATION_ID, "reason": "refused"}}, Look.FAIL),
        (ARRIVED | {"failing": {"version": 7, "reason": "failed"}}, Look.FAIL),
        (LATE | {"failing": {"version": 7, "reason": "unreachable"}}, Look.WAIT),
        (ARRIVED | {"failing": {"version": 7, "reason": "unreachable"}}, Look.WAIT),
        (LATE | {"failing": {"version": 5, "reason": "refused"}}, Look.WAIT),
        (ARRIVED | {"failing": {"version": 6, "reason": "refused"}}, Look.PASS),
        (ARRIVED | {"failing": {"version": 7, "reason": "because"}}, Look.WAIT),
        (ARRIVED | {"failing": "yes"}, Look.WAIT),
        ({"version": "7"}, Look.WAIT),
        ({"version": True}, Look.WAIT),
        ({"version": 7.0}, Look.WAIT),
        ({"version": -7}, Look.WAIT),
        ({}, Look.WAIT),
        (7, Look.WAIT),
        (None, Look.WAIT),
    ],
)
def test_one_consumer(webs: list[Web], entry: Any, look: Look) -> None:
    assert check(webs, report(entry)).look is look


def test_a_consumer_with_two_pools_has_arrived_with_both(webs: list[Web]) -> None:
    assert check(webs, report(ARRIVED, ARRIVED)).look is Look.PASS
    assert check(webs, report(ARRIVED, LATE)).look is Look.WAIT
    assert check(webs, report(ARRIVED, REFUSED)).look is Look.FAIL
    assert check(webs, report(ARRIVED, {"version": "7"})).look is Look.WAIT


def test_who_is_missing_is_named(webs: list[Web]) -> None:
    verdict = check(webs, report(ARRIVED), report(LATE), b"not json")
    assert verdict.look is Look.WAIT
    assert verdict.evidence.startswith("1 of 3 consumers use version 7")
    assert f"not yet there: {webs[1].url}/rotation (version 6)" in verdict.evidence
    assert f"not seen: {webs[2].url}/rotation" in verdict.evidence


def test_a_share_is_enough_unless_somebody_suffers(webs: list[Web]) -> None:
    bodies = [report(ARRIVED), report(ARRIVED)]
    assert check(webs, *bodies, report(LATE), share=0.6).look is Look.PASS
    assert check(webs, *bodies, report(LATE), share=0.7).look is Look.WAIT
    assert check(webs, *bodies, report(REFUSED), share=0.6).look is Look.FAIL


@pytest.mark.parametrize("minutes", [-6, 6])
@pytest.mark.parametrize("entry", [ARRIVED, REFUSED])
def test_a_report_far_from_now_does_not_count(webs: list[Web], minutes: int, entry: Any) -> None:
    assert check(webs, report(entry, at=NOW + timedelta(minutes=minutes))).look is Look.WAIT


@pytest.mark.parametrize("moment", ["", "yesterday", "2026-05-04T12:00:00", 1777896000, None])
def test_a_time_without_a_zone_is_none(webs: list[Web], moment: object) -> None:
    body = json.loads(report(ARRIVED)) | {"reported_at": moment}
    assert check(webs, json.dumps(body).encode()).look is Look.WAIT


@pytest.mark.parametrize(
    ("name", "look"),
    [
        (str(SECRET), Look.PASS),
        (f"projects/{NUMBER}/secrets/orders", Look.PASS),
        ("projects/acme/secrets/other", Look.WAIT),
        ("projects/other/secrets/orders", Look.WAIT),
        ("projects/999/secrets/orders", Look.WAIT),
        ("projects/acme/locations/europe-west1/secrets/orders", Look.WAIT),
        ("orders", Look.WAIT),
    ],
)
def test_a_project_has_an_id_and_a_number(webs: list[Web], name: str, look: Look) -> None:
    assert check(webs, report(ARRIVED, name=name)).look is look


def test_a_number_that_nobody_knows_is_not_guessed(webs: list[Web]) -> None:
    def unknown(_project: str) -> str:
        raise TemporaryError("no answer")

    name = f"projects/{NUMBER}/secrets/orders"
    for resolve in (lambda _project: None, unknown):
        env = environment(project_number=resolve)
        assert check(webs, report(ARRIVED, name=name), env=env).look is Look.WAIT
        assert check(webs, report(ARRIVED, name=name), env=env, secret=name).look is Look.PASS


def test_two_projects_without_a_number_are_not_one(webs: list[Web]) -> None:
    env = environment(project_number=lambda _project: None)
    body = report(ARRIVED, name="projects/other/secrets/orders")
    assert check(webs, body, env=env).look is Look.WAIT


def test_another_contract_is_not_read(webs: list[Web]) -> None:
    body = json.loads(report(ARRIVED)) | {"contract": "rotation.consumer/2"}
    assert check(webs, json.dumps(body).encode()).look is Look.WAIT


def test_how_old_a_report_may_be_is_a_setting(webs: list[Web]) -> None:
    body = report(ARRIVED, at=NOW - timedelta(seconds=61))
    assert check(webs, body).look is Look.PASS
    assert check(webs, body, fresh_for=timedelta(minutes=1)).look is Look.WAIT
