"""What a rotation costs, counted where it arrives: at Secret Manager and in PostgreSQL's log."""

import re

import pytest

from tests.acceptance.conftest import MakeTarget
from tests.support.stack.scene import Scene
from tests.support.stack.target import Target

WRITES = {"UpdateSecret": 2, "AddSecretVersion": 1}
CHANGES = {"EnableSecretVersion", "DisableSecretVersion", "DestroySecretVersion"}


def _logins(target: Target, since: int) -> list[str]:
    log = target.scene.stack.postgres.log_path.read_text(errors="replace")[since:]
    users = re.findall(r"connection authorized: user=(\S+)", log)
    return [user for user in users if user.startswith(f"{target.id}_")]


def _writes(calls: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in calls.items() if name in {*WRITES, *CHANGES}}


@pytest.fixture
def quiet(scene: Scene, make_target: MakeTarget) -> Target:
    """The only secret that is there, so that every call counted is for it."""
    return make_target(scene).start()


def test_warm_rotation_is_published_with_five_calls_and_one_login(quiet: Target) -> None:
    log = len(quiet.scene.stack.postgres.log_path.read_text(errors="replace"))
    quiet.scene.reset()
    quiet.fire()
    calls = quiet.scene.calls()
    assert quiet.phase == "soaking"
    assert sum(calls.values()) <= 5, calls
    assert _writes(calls) == WRITES
    assert _logins(quiet, log) == [quiet.slots[1]]


def test_cold_rotation_is_published_with_six_calls_and_two_logins(quiet: Target) -> None:
    quiet.scene.restart()
    log = len(quiet.scene.stack.postgres.log_path.read_text(errors="replace"))
    quiet.scene.reset()
    quiet.fire()
    calls = quiet.scene.calls()
    assert quiet.phase == "soaking"
    assert sum(calls.values()) <= 6, calls
    assert _writes(calls) == WRITES
    assert sorted(_logins(quiet, log)) == sorted([quiet.rotator, quiet.slots[1]])


def test_no_password_is_in_the_servers_log_although_it_logs_every_statement(
    quiet: Target,
) -> None:
    quiet.rotate()
    passwords = [quiet.payload(number)["password"] for number in (1, 2)]
    quiet.settle()
    log = quiet.scene.stack.postgres.log_path.read_text(errors="replace")
    assert f'ALTER ROLE "{quiet.slots[1]}" LOGIN PASSWORD \'SCRAM-SHA-256$' in log
    assert not any(password in log for password in passwords)
