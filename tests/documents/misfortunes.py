"""What goes wrong before a page's remedy is followed, by page and heading.

Each is done to a secret of its own, as the people do it who cause it in earnest.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.documents.world import World

BLOCKED: Final = "deploy/docs/runbooks/blocked.md"
Clients = list["subprocess.Popen[bytes]"]
Misfortune = Callable[[World, Clients], None]


@contextmanager
def clients() -> Iterator[Clients]:
    """Hold the clients that somebody forgot; they end with the story."""
    found: Clients = []
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.wait()


def _roles(world: World, name: str) -> tuple[str, str]:
    """Return the login in force, and the idle one."""
    base = name.replace("-", "_")
    (found,) = world.rotation("status", name)["secrets"]
    active = found["handle"]
    (idle,) = {f"{base}_a", f"{base}_b"} - {active}
    return active, idle


def _rotate(world: World, name: str) -> None:
    """Ask for a rotation, which the misfortune blocks."""
    world.terminal.run(f"rotation rotate {name} --reason story --timeout 60")
    world.settle_down()


def _expect(world: World, name: str, reason: str) -> None:
    labels = world.secret(name).get("labels", {})
    assert labels.get("rotation_blocked") == reason, (name, labels)


def _blocked(name: str, reason: str, *statements: str) -> Misfortune:
    """Return the misfortune that statements in the database are, and a rotation meets."""

    def happen(world: World, _clients: Clients) -> None:
        active, idle = _roles(world, name)
        world.execute(*(statement.format(active=active, idle=idle) for statement in statements))
        _rotate(world, name)
        _expect(world, name, reason)

    return happen


def _slot_in_use(world: World, clients: Clients) -> None:
    _, idle = _roles(world, "orders-15")
    world.execute(f"ALTER ROLE {idle} LOGIN PASSWORD 'a-password-of-the-test'")
    clients.append(world.hold_session(idle, "a-password-of-the-test"))
    query = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{idle}'"  # noqa: S608
    world.await_(lambda: world.rows(query) == [(1,)], "the forgotten client is there")
    _rotate(world, "orders-15")
    _expect(world, "orders-15", "slot-in-use")


def _rotator_changed(world: World, _clients: Clients) -> None:
    world.execute(
        "ALTER ROLE rotator PASSWORD 'somebody-has-changed-it'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotator'",
    )
    _rotate(world, "orders-16")
    _expect(world, "orders-16", "admin-login-refused")


def _state_lost(world: World, _clients: Clients) -> None:
    """Somebody replaces all annotations while a rotation is in flight."""
    _rotate(world, "orders-18")
    policy = world.secret("orders-18")["annotations"]["rotation.policy"]
    world.change("orders-18", "annotations", {"rotation.policy": policy, "team": "shop"})
    world.terminal.run("gcloud pubsub topics publish rotation --attribute=eventType=ROTATION_SWEEP")
    world.await_(
        lambda: (
            world.secret("orders-18").get("labels", {}).get("rotation_blocked") == "state-invalid"
        ),
        "the lost record is found",
    )


def _version_disabled(world: World, _clients: Clients) -> None:
    name = "orders-19"
    _rotate(world, name)
    current = world.secret(name)["versionAliases"]["current"]
    world.call("POST", f"/{name}/versions/{current}:disable", {})
    world.terminal.run(f"rotation emergency {name} --yes --reason story --timeout 20")
    _expect(world, name, "version-unavailable")


def _pointer_moved(world: World, _clients: Clients) -> None:
    name = "orders-20"
    _rotate(world, name)
    world.change(name, "version_aliases", {"current": "1"})
    world.terminal.run("rotation clock advance 11m")
    world.await_(
        lambda: world.secret(name).get("labels", {}).get("rotation_blocked") == "pointer-moved",
        "the moved alias is found",
    )


def _policy_broken(world: World, _clients: Clients) -> None:
    found = world.secret("orders-21")["annotations"]
    policy = json.loads(found["rotation.policy"]) | {"soaking": "1h"}
    world.change("orders-21", "annotations", {**found, "rotation.policy": json.dumps(policy)})


def _policy_reaches_out(world: World, _clients: Clients) -> None:
    """Somebody names another owner: the targets document, where there is one, does not allow it."""
    name = "orders-26"
    found = world.secret(name)["annotations"]
    policy = json.loads(found["rotation.policy"])
    policy["issuer"]["owner"] = "billing_owner"
    world.change(name, "annotations", {**found, "rotation.policy": json.dumps(policy)})
    if "ROTATION_TARGETS" in world.variables:
        full = f"projects/{world.variables['ROTATION_PROJECT']}/secrets/{name}"
        wake = f"eventType=ROTATION_WAKE,secretId={full}"
        world.terminal.run(f"gcloud pubsub topics publish rotation --attribute={wake}")
        world.await_(
            lambda: world.secret(name).get("labels", {}).get("rotation_blocked") == "not-allowed",
            "what is not allowed is found",
        )


def _password_changed(world: World, _clients: Clients) -> None:
    active, _ = _roles(world, "orders-23")
    world.execute(f"ALTER ROLE {active} PASSWORD 'changed-by-somebody'")
    full = f"projects/{world.variables['ROTATION_PROJECT']}/secrets/orders-23"
    # What a sweep publishes for each secret once in a day.
    check = f"eventType=ROTATION_WAKE,secretId={full},reason=check"
    world.terminal.run(f"gcloud pubsub topics publish rotation --attribute={check}")
    world.await_(
        lambda: world.secret("orders-23").get("labels", {}).get("rotation_blocked") == "drift",
        "the daily check finds it",
    )


def _schedule_lost(world: World, _clients: Clients) -> None:
    world.call("PATCH", "/orders-25", {"topics": []}, updateMask="topics,rotation")


def _time_passes(world: World, _clients: Clients) -> None:
    """Wait until the morning: every rotation that can end has ended."""
    for _ in range(12):
        world.terminal.run("rotation clock advance 16m")
        world.settle_down()
        found = world.rotation("status", "--filter", "labels.db=orders")["secrets"]
        in_flight = [entry for entry in found if entry["rotation"]]
        if not in_flight:
            return
    where = [(entry["secret"], entry["phase"], entry["rotation"]["note"]) for entry in in_flight]
    raise AssertionError(f"still in flight: {where}")


def _half_a_day_passes(world: World, _clients: Clients) -> None:
    world.terminal.run("rotation clock advance 13h")
    world.settle_down()


BEFORE: Final[dict[tuple[str, str], Misfortune]] = {
    (BLOCKED, "missing-right"): _blocked(
        "orders-11", "missing-right", "REVOKE {active}, {idle} FROM rotator CASCADE"
    ),
    (BLOCKED, "wrong-identity"): _blocked(
        "orders-12", "wrong-identity", "REVOKE orders_owner FROM {active}, {idle}"
    ),
    (BLOCKED, "role-not-ours"): _blocked(
        "orders-13", "role-not-ours", "COMMENT ON ROLE {idle} IS 'managed by Vault'"
    ),
    (BLOCKED, "fence-unreadable"): _blocked(
        "orders-14", "fence-unreadable", "COMMENT ON ROLE {idle} IS '[rotation by hand, sorry]'"
    ),
    (BLOCKED, "slot-in-use"): _slot_in_use,
    (BLOCKED, "admin-login-refused"): _rotator_changed,
    (BLOCKED, "state-invalid"): _state_lost,
    (BLOCKED, "version-unavailable"): _version_disabled,
    (BLOCKED, "pointer-moved"): _pointer_moved,
    (BLOCKED, "policy-invalid"): _policy_broken,
    (BLOCKED, "not-allowed"): _policy_reaches_out,
    ("deploy/docs/runbooks/drift.md", "first-three-commands"): _password_changed,
    ("deploy/docs/roll-back.md", "of-a-credential"): _time_passes,
    ("deploy/docs/break-glass.md", "break-glass-rotate-by-hand"): _time_passes,
    ("deploy/docs/removal.md", "1-one-secret"): _half_a_day_passes,
    ("deploy/docs/runbooks/too-old.md", "first-three-commands"): _schedule_lost,
}
