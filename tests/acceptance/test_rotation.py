"""A scheduled rotation from the firing to the receipt, in the real parts."""

import json
from collections.abc import Callable
from datetime import timedelta

from google.cloud import secretmanager_v1

from tests.acceptance.conftest import MakeTarget
from tests.acceptance.prober import probing
from tests.support.stack.scene import Scene, wait_until
from tests.support.stack.target import Target


def test_secret_made_with_googles_client_rotates_on_its_schedule_and_settles(
    scene: Scene, make_target: MakeTarget
) -> None:
    moment = scene.stack.services.clock.now() + timedelta(hours=1)
    target = make_target(
        scene,
        secret={
            "topics": [{"name": scene.stack.topic}],
            "rotation": {"next_rotation_time": moment, "rotation_period": timedelta(days=1)},
        },
    ).start()
    first = target.payload(1)
    target.add_version(b"theirs")
    target.edit(version_aliases={"theirs": 2})
    with probing(target) as prober:
        scene.advance(hours=1, seconds=1)
        wait_until(lambda: target.current == 3, "the schedule has fired")
        target.settle(prober.beat)
    target.assert_settled(current=3, previous=1)
    assert target.states == {1: "DESTROYED", 2: "ENABLED", 3: "ENABLED"}
    assert target.aliases["theirs"] == 2
    assert target.refused(first)
    assert target.receipt["outcome"] == "rotated"
    assert target.receipt["reason"] == "schedule"
    assert target.secret.rotation.next_rotation_time.ToSeconds() > scene.now


def test_next_rotation_uses_the_other_slot_and_keeps_what_others_stored(
    target: Target, probed: Callable[[], None]
) -> None:
    for number in (2, 3):
        target.rotate()
        target.settle(probed)
        target.assert_settled(current=number, previous=number - 1)
    assert target.receipt["handle"] == target.payload(3)["username"] == target.slots[0]


def test_new_credential_owns_what_the_old_one_created(target: Target) -> None:
    with target.connect(target.payload(1)) as session:
        session.execute("CREATE TABLE made_by_the_old (id int)")
    target.rotate()
    with target.connect(target.payload(2)) as session:
        session.execute("DROP TABLE made_by_the_old")


def test_receipt_holds_the_evidence_and_no_value(target: Target) -> None:
    target.rotate()
    target.settle()
    assert any("0 sessions" in line for line in target.receipt["evidence"])
    assert target.payload(2)["password"] not in json.dumps(target.annotations)


def test_stored_state_is_readable_by_a_client_that_knows_nothing_of_us(target: Target) -> None:
    target.rotate()
    client: secretmanager_v1.SecretManagerServiceClient = target.scene.client
    secret = client.get_secret(name=target.name)
    assert secret.labels["rotation_phase"] == "soaking"
    assert "rotating_to_new_version_number" not in secret.labels
    assert dict(secret.version_aliases) == {"current": 2, "previous": 1}
