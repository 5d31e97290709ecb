"""Policies, labels, versions and payloads that somebody got wrong.

The credential in force works all the time; `rotation status` shows what is wrong; and when it is
put right, the next rotation goes through.
"""

import json
from typing import Any

import pytest

from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target

FAULTY_POLICIES: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "not JSON"),
    "empty": ("", "not JSON"),
    "a list": ([], "expected"),
    "no issuer": ({"soak": "1h"}, "issuer"),
    "unknown key": ({"soek": "1h"}, "did you mean 'soak'"),
    "unknown issuer": ({"issuer": {"kind": "postgres"}}, "did you mean 'postgresql'"),
    "issuer of nothing": ({"issuer": {"kind": "postgresql"}}, "the key 'target' is missing"),
    "soak is a number": ({"soak": 5}, "soak"),
    "soak of nonsense": ({"soak": "soon"}, "duration"),
    "negative soak": ({"soak": "-1h"}, "duration"),
    "an approval": ({"approval": {"require": []}}, "approvals"),
    "unknown participant": (
        {"rollout": [{"stage": "all", "participants": [{"kind": "aliass"}]}]},
        "did you mean 'alias'",
    ),
    "a key twice": ('{"soak": "1h", "soak": "2h"}', "twice"),
}


@pytest.mark.parametrize(("faulty", "words"), FAULTY_POLICIES.values(), ids=FAULTY_POLICIES)
def test_faulty_policy_blocks_until_it_is_mended(target: Target, faulty: Any, words: str) -> None:
    wrong = faulty
    if isinstance(faulty, dict):
        kept = {} if "soak" in faulty and len(faulty) == 1 and words == "issuer" else target.policy
        wrong = {**kept, **faulty}
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    target.edit(annotations={"rotation.policy": text})
    target.fire()
    target.assert_blocked("policy-invalid", words)
    target.set_policy()
    target.rotate()
    target.settle()
    target.assert_settled(current=2, previous=1)


def test_policy_that_does_not_fit_the_rotation_period_is_refused(target: Target) -> None:
    changed = {
        "name": target.name,
        "topics": [{"name": target.scene.stack.topic}],
        "rotation": {
            "next_rotation_time": {"seconds": int(target.scene.now) + 7200},
            "rotation_period": {"seconds": 3600},
        },
    }
    paths = {"paths": ["topics", "rotation"]}
    target.scene.client.update_secret(request={"secret": changed, "update_mask": paths})
    target.fire()
    target.assert_blocked("policy-invalid", "rotates every 1h")


def test_secret_without_a_policy_is_left_alone(target: Target) -> None:
    target.edit(annotations={"rotation.policy": None})
    etag = target.secret.etag
    target.fire()
    wait_until(lambda: target.has_logged("INFO", "not managed by rotation"), "it is logged")
    assert target.secret.etag == etag


NONSENSE: dict[str, tuple[str, dict[str, str]]] = {
    "phase": ("labels", {"rotation_phase": "dancing"}),
    "phase without a record": ("labels", {"rotation_phase": "soaking"}),
    "token": ("labels", {"rotation_token": "many"}),
    "lease": ("labels", {"rotation_lease_until": "tomorrow"}),
    "wait": ("labels", {"rotation_wake_at": "9" * 30}),
    "receipt is not JSON": ("annotations", {"rotation.receipt": "{"}),
    "receipt is a list": ("annotations", {"rotation.receipt": "[]"}),
    "receipt of another shape": ("annotations", {"rotation.receipt": '{"id": 5}'}),
}


@pytest.mark.parametrize(("field", "edits"), NONSENSE.values(), ids=NONSENSE)
def test_state_edited_to_nonsense_blocks_and_is_not_overwritten(
    target: Target, field: str, edits: dict[str, str]
) -> None:
    (key,) = edits
    before = dict(getattr(target.secret, field)).get(key)
    target.edit(**{field: edits})
    target.fire()
    target.assert_blocked("state-invalid", key.removesuffix("phase"))
    assert dict(getattr(target.secret, field))[key] == edits[key]
    target.edit(**{field: {key: before}})
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_record_edited_to_nonsense_while_soaking_blocks(target: Target) -> None:
    target.rotate()
    record = target.annotations["rotation.record"]
    target.edit(annotations={"rotation.record": "{}"})
    target.wake()
    target.assert_blocked("state-invalid", "rotation.record")
    assert target.works(target.payload(2))
    target.edit(annotations={"rotation.record": record})
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_alias_moved_by_hand_while_soaking_stops_the_retirement(target: Target) -> None:
    target.rotate()
    target.edit(version_aliases={"current": 1})
    target.move_on()
    target.assert_blocked("pointer-moved", "version 1")
    target.edit(version_aliases={"current": 2})
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_token_removed_by_hand_is_raised_above_the_databases(target: Target) -> None:
    target.rotate()
    target.settle()
    target.edit(labels={"rotation_token": None})
    target.rotate()
    target.settle()
    target.assert_settled(current=3, previous=2)


def _set_state(target: Target, verb: str, number: int) -> None:
    call = getattr(target.scene.client, f"{verb}_secret_version")
    call(request={"name": f"{target.name}/versions/{number}"})


def test_current_version_disabled_under_us_blocks_until_it_is_enabled(target: Target) -> None:
    _set_state(target, "disable", 1)
    target.fire()
    target.assert_blocked("version-unavailable", "DISABLED")
    _set_state(target, "enable", 1)
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_current_version_destroyed_under_us_blocks_until_another_one_is_named(
    target: Target,
) -> None:
    payload = target.payload(1)
    _set_state(target, "destroy", 1)
    target.fire()
    target.await_blocked("version-unavailable")
    assert "DESTROYED" in target.block["message"]
    assert target.works(payload)
    target.edit(version_aliases={"current": target.add_version(payload)})
    target.ask("unblock")
    wait_until(lambda: not target.block, "it is unblocked")
    target.scene.await_idle()
    target.settle()
    if target.current == 2:
        target.rotate()
        target.settle()
    target.assert_settled(current=3, previous=2)


def test_next_version_disabled_under_us_blocks_and_both_credentials_work(target: Target) -> None:
    target.rotate()
    _set_state(target, "disable", 2)
    target.move_on()
    target.assert_blocked("version-unavailable", "DISABLED")
    assert target.works(target.payload(2))
    _set_state(target, "enable", 2)
    target.unblock()
    target.assert_settled(current=2, previous=1)


def test_next_version_destroyed_under_us_blocks_and_a_revert_goes_back(target: Target) -> None:
    target.rotate()
    _set_state(target, "destroy", 2)
    target.move_on()
    target.assert_blocked("version-unavailable", "DESTROYED")
    target.ask("revert")
    target.await_phase("settled", 1)
    target.scene.await_idle()
    assert not target.block
    assert target.latest() == target.payload(1)
    target.rotate()
    target.settle()
    assert target.enabled == [target.current]


@pytest.mark.parametrize("verb", ["disable", "destroy"])
def test_previous_version_taken_away_under_us_changes_nothing(target: Target, verb: str) -> None:
    target.rotate()
    _set_state(target, verb, 1)
    target.settle()
    target.assert_settled(current=2, previous=1)
    assert target.states == {1: "DESTROYED", 2: "ENABLED"}


BAD_PAYLOADS: dict[str, bytes] = {
    "not JSON": b"hunter2",
    "not text": b"\xff\xfe",
    "a list": b"[]",
    "no user": b'{"password": "x"}',
    "no password": b'{"username": "x"}',
    "a stranger": b'{"username": "stranger", "password": "x"}',
    "numbers": b'{"username": 1, "password": 2}',
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS)
def test_payload_that_cannot_be_read_blocks_and_is_not_quoted(
    target: Target, payload: bytes
) -> None:
    target.edit(version_aliases={"current": target.add_version(payload)})
    target.fire()
    target.assert_blocked("payload-unreadable", "add a version")
    assert "hunter2" not in json.dumps(target.block)
    target.edit(version_aliases={"current": 1})
    target.ask("unblock")
    wait_until(lambda: not target.block, "it is unblocked")
    target.scene.await_idle()
    if target.phase == "settled":
        target.rotate()
    target.settle()
    target.assert_settled(current=3, previous=1)
    assert target.refused({**target.payload(3), "password": "wrong"})


def test_secret_deleted_in_the_middle_is_acknowledged(target: Target) -> None:
    target.rotate()
    target.delete()
    target.wake()
    target.scene.await_idle()
    assert target.has_logged("ERROR", "NOT_FOUND")
