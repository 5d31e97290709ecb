"""Runs last: no password of the whole session can be read anywhere but in a version.

What is searched is everything the stacks wrote: see `evidence`.
"""

import base64
import json
from contextlib import closing

from tests.support.stack.evidence import Evidence
from tests.support.stack.scene import Scene
from tests.support.stack.target import Target

PLACES = {
    "annotations",
    "cmdline",
    "environ",
    "events",
    "function log",
    "labels",
    "postgres log",
    "test reports",
}


def test_no_password_minted_in_this_session_can_be_read_anywhere(
    scene: Scene, target: Target, evidence: Evidence
) -> None:
    target.set_topic()
    target.rotate()
    with closing(target.connect(target.payload(2))):
        scene.collect()
    target.ask("emergency", reason="leak")
    target.await_phase("destroying", 3)
    target.settle()
    scene.collect()
    passwords = {scene.stack.postgres.superuser_password(), *evidence.passwords}
    assert {target.payload(3)["password"]} < passwords
    assert set(evidence.places()) >= PLACES, "something was not searched"
    silent = {place for place, text in evidence.places().items() if not text.strip()}
    assert silent <= {"test reports"}
    assert evidence.leaks() == []


def test_search_covers_what_it_says_it_covers(scene: Scene, target: Target) -> None:
    target.set_topic()
    target.rotate()
    scene.collect()
    places = scene.evidence.places()
    for place in ("annotations", "events", "function log"):
        assert target.record["id"] in places[place], place
    assert "SECRET_UPDATE" in places["events"]
    assert f'ALTER ROLE "{target.slots[1]}"' in places["postgres log"]
    assert "functions_framework" in places["cmdline"]
    assert "ROTATION_TOPIC" in places["environ"]


def test_search_finds_a_password_and_an_encoded_payload() -> None:
    searched = Evidence()
    payload = json.dumps({"engine": "postgres", "password": "p" * 43}).encode()
    searched.add_payload(payload)
    searched.add_text("clean", "nothing")
    searched.add_text("log", f"postgresql://app:{'p' * 43}@db")
    searched.add_text("event", base64.b64encode(payload).decode())
    assert searched.leaks() == ["log: a password", "event: an encoded payload"]
