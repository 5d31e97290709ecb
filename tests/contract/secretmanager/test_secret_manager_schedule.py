import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import secretmanager_v1 as sm
from secretmanager_support import World

from rotation.emulator.scheduler import RotationScheduler
from rotation.emulator.secretmanager.schedule import Schedule

NAME = "projects/123456789012/secrets/app"


def test_scheduler_fires_and_expires_when_the_clock_is_moved(
    grpc_client: sm.SecretManagerServiceClient, world: World
) -> None:
    rotated, deleted = threading.Event(), threading.Event()
    arrived = {"SECRET_ROTATE": rotated, "SECRET_DELETE": deleted}
    collect = world.store.publish

    def publish(topic: str, attributes: dict[str, str], data: bytes | None) -> None:
        collect(topic, attributes, data)
        if attributes["eventType"] in arrived:
            arrived[attributes["eventType"]].set()

    world.store.publish = publish
    now = datetime.now(UTC)
    secret: dict[str, Any] = {
        "replication": {"automatic": {}},
        "topics": [{"name": "projects/demo-project/topics/rotation"}],
        "rotation": {"next_rotation_time": now + timedelta(seconds=600)},
        "expire_time": now + timedelta(seconds=6000),
    }
    scheduler = RotationScheduler(world.clock, Schedule(world.store))
    world.background.call(lambda _server: scheduler.start())
    try:
        parent = "projects/demo-project"
        grpc_client.create_secret(parent=parent, secret_id="app", secret=secret)
        world.controls.advance(601)
        assert rotated.wait(30)
        assert not grpc_client.get_secret(name=NAME).rotation
        assert not deleted.is_set()
        world.controls.advance(6000)
        assert deleted.wait(30)
        assert world.broker.event_types.count("SECRET_ROTATE") == 1
    finally:
        world.background.call(lambda _server: scheduler.stop())
