"""Make the secret of one seed with a database of its own, and remove both again."""

from contextlib import suppress

from tests.crash.schedule import Schedule
from tests.crash.stage import SOAK, Stage
from tests.support.stack.scene import wait_until
from tests.support.stack.target import Target


def make_target(stage: Stage, schedule: Schedule) -> Target:
    """Create a database and a secret; the stage's targets lead to the relays."""
    target = Target(
        stage.scene,
        secret={"topics": [{"name": stage.stack.topic}]},
        soak=f"{SOAK.total_seconds():.0f}s",
        retire={"observe": schedule.observe, "destroy_after": "1h"},
    )
    stage.pair.await_replay()
    return target


def remove(stage: Stage, target: Target) -> None:
    """Delete secrets, database and roles."""
    target.delete()
    with suppress(AssertionError):
        wait_until(stage.scene.idle, "no delivery is owed", 5)
    with stage.pair.primary.connect() as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{target.database}" WITH (FORCE)')  # type: ignore[call-overload]
        for role in (*target.slots, target.owner, target.rotator):
            connection.execute(f'DROP ROLE IF EXISTS "{role}"')  # type: ignore[call-overload]
