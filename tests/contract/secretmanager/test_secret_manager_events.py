import json
import re
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.cloud import secretmanager_v1 as sm
from secretmanager_support import World

PARENT = "projects/demo-project"
NAME = "projects/123456789012/secrets/app"
TOPIC = f"{PARENT}/topics/rotation"
HOUR = 3600
PACIFIC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?-0[78]:00")


@pytest.fixture
def client(grpc_client: sm.SecretManagerServiceClient, world: World) -> Any:
    return grpc_client


def create(client: Any, **secret: Any) -> Any:
    secret = {"replication": {"automatic": {}}, "topics": [{"name": TOPIC}], **secret}
    return client.create_secret(parent=PARENT, secret_id="app", secret=secret)


def with_rotation(world: World, period: int | None = HOUR) -> dict[str, Any]:
    rotation: dict[str, Any] = {
        "next_rotation_time": datetime.fromtimestamp(int(world.clock.now().timestamp()) + 400, UTC)
    }
    if period:
        rotation["rotation_period"] = {"seconds": period}
    return {"rotation": rotation}


def last(world: World) -> tuple[dict[str, str], dict[str, Any]]:
    topic, attributes, data = world.broker.messages[-1]
    assert topic == TOPIC
    assert data is not None
    fields = json.loads(data)
    compact = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert data.decode() == compact
    return attributes, fields


def moment_of(etag: str) -> datetime:
    return datetime.fromtimestamp((int(etag.strip('"'), 16) - 2**52) / 1e6, UTC)


def test_topic_configured_has_one_attribute_and_no_data(client: Any, world: World) -> None:
    create(client)
    assert world.broker.messages[0] == (TOPIC, {"eventType": "TOPIC_CONFIGURED"}, None)


def test_secret_events_carry_the_secret(client: Any, world: World) -> None:
    secret = create(client, labels={"team": "db"})
    attributes, fields = last(world)
    assert set(attributes) == {"eventType", "dataFormat", "secretId", "timestamp"}
    assert attributes["dataFormat"] == "JSON_API_V1"
    assert attributes["secretId"] == NAME
    assert PACIFIC.fullmatch(attributes["timestamp"])
    assert datetime.fromisoformat(fields.pop("createTime")) == secret.create_time
    assert fields == {
        "etag": secret.etag,
        "labels": {"team": "db"},
        "name": NAME,
        "replication": {"automatic": {}},
        "topics": [{"name": TOPIC}],
    }


def test_etag_and_timestamp_are_the_moment_of_the_change(client: Any, world: World) -> None:
    create(client)
    client.update_secret(secret={"name": NAME, "labels": {"a": "1"}}, update_mask="labels")
    attributes, fields = last(world)
    assert datetime.fromisoformat(attributes["timestamp"]) == moment_of(fields["etag"])


def test_version_events_carry_the_version_and_never_the_payload(client: Any, world: World) -> None:
    create(client)
    client.add_secret_version(parent=NAME, payload={"data": b"hunter2"})
    attributes, fields = last(world)
    assert attributes["eventType"] == "SECRET_VERSION_ADD"
    assert attributes["versionId"] == f"{NAME}/versions/1"
    assert attributes["secretId"] == NAME
    assert set(fields) == {"createTime", "etag", "name", "replicationStatus", "state"}
    assert "hunter2" not in repr(world.broker.messages)
    assert "hunter2" not in repr(world.store.records)


def test_destruction_events_carry_their_times(client: Any, world: World) -> None:
    create(client, version_destroy_ttl={"seconds": 24 * HOUR})
    client.add_secret_version(parent=NAME, payload={"data": b"x"})
    client.destroy_secret_version(name=f"{NAME}/versions/1")
    attributes, fields = last(world)
    assert attributes["eventType"] == "SECRET_VERSION_DESTROY_SCHEDULED"
    assert fields["state"] == "DISABLED"
    assert "scheduledDestroyTime" in fields
    world.advance(24 * HOUR)
    world.controls.run_due()
    attributes, fields = last(world)
    assert attributes["eventType"] == "SECRET_VERSION_DESTROY"
    assert fields["state"] == "DESTROYED"
    assert "destroyTime" in fields


def test_deletions_say_who_asked_for_them(client: Any, world: World) -> None:
    create(client)
    client.delete_secret(name=NAME)
    assert last(world)[0]["deleteType"] == "REQUESTED"
    secret = create(client, ttl={"seconds": 60})
    world.advance(61)
    world.controls.run_due()
    attributes, fields = last(world)
    assert (attributes["eventType"], attributes["deleteType"]) == ("SECRET_DELETE", "EXPIRATION")
    assert fields["etag"] == secret.etag
    assert "expireTime" in fields


def test_next_rotation_is_one_period_after_the_scheduled_time(client: Any, world: World) -> None:
    secret = create(client, **with_rotation(world))
    world.advance(460)
    assert world.controls.run_due() == [NAME]
    attributes, fields = last(world)
    assert attributes["eventType"] == "SECRET_ROTATE"
    fired = client.get_secret(name=NAME)
    advanced = fired.rotation.next_rotation_time - secret.rotation.next_rotation_time
    assert advanced.total_seconds() == HOUR
    announced = datetime.fromisoformat(fields["rotation"]["nextRotationTime"])
    assert announced == fired.rotation.next_rotation_time
    assert fields["rotation"]["rotationPeriod"] == "3600s"
    assert fired.etag == fields["etag"] != secret.etag


def test_rotation_fires_once_and_not_before_its_time(client: Any, world: World) -> None:
    create(client, **with_rotation(world))
    world.advance(390)
    assert world.controls.run_due() == []
    world.advance(10)
    assert world.controls.run_due() == [NAME]
    assert world.controls.run_due() == []


def test_rotations_missed_while_nobody_looked_fire_once(client: Any, world: World) -> None:
    secret = create(client, **with_rotation(world))
    world.advance(400 + 5 * HOUR + 60)
    assert world.controls.run_due() == [NAME]
    fired = client.get_secret(name=NAME).rotation.next_rotation_time
    assert (fired - secret.rotation.next_rotation_time).total_seconds() == 6 * HOUR


def test_rotation_is_skipped_while_the_last_one_is_being_sent(client: Any, world: World) -> None:
    create(client, **with_rotation(world))
    world.broker.refusals["rotation"] = grpc.StatusCode.UNAVAILABLE
    world.advance(400)
    assert world.controls.run_due() == [NAME]
    world.advance(HOUR)
    assert world.controls.run_due() == []
    world.broker.refusals.clear()
    world.advance(10)
    assert world.controls.run_due() == []
    assert world.broker.event_types.count("SECRET_ROTATE") == 1
    world.advance(HOUR)
    assert world.controls.run_due() == [NAME]


def test_events_of_one_secret_arrive_in_order_after_a_refusal(client: Any, world: World) -> None:
    create(client)
    world.broker.refusals["rotation"] = grpc.StatusCode.UNAVAILABLE
    client.update_secret(secret={"name": NAME, "labels": {"a": "1"}}, update_mask="labels")
    world.broker.refusals.clear()
    client.add_secret_version(parent=NAME, payload={"data": b"x"})
    assert world.broker.event_types == ("TOPIC_CONFIGURED", "SECRET_CREATE")
    world.advance(11)
    world.controls.run_due()
    assert world.broker.event_types[2:] == ("SECRET_UPDATE", "SECRET_VERSION_ADD")


def test_refused_topics_leave_no_secret(client: Any, world: World) -> None:
    with pytest.raises(Exception, match=r"Topic .+ not found"):
        create(client, topics=[{"name": TOPIC}, {"name": f"{PARENT}/topics/missing"}])
    assert world.broker.event_types == ("TOPIC_CONFIGURED",)
    assert not world.store.records
