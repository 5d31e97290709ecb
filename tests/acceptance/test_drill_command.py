"""`rotation drill`: incidents that the right commands end, and that nothing else does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.local.drill.scenarios import SCENARIOS

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "rotation", "drill"]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Make a folder for temporary files that PostgreSQL may enter, and nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="rotation-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_right_commands_end_the_incident(name: str, scratch: Path) -> None:
    command = [*COMMAND, name, "--secrets", "4", "--auto", "--json"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=180, env=environment
    )
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["over"], verdict["missing"]) == (0, True, []), done.stderr
    assert list(scratch.iterdir()) == []


def test_nothing_done_is_not_over_and_says_what_is_missing() -> None:
    command = [*COMMAND, "leak", "--secrets", "3", "--minutes", "0.1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["over"]) == (1, False)
    assert verdict["missing"] == [
        "3 leaked credentials still work: orders-01, orders-02, orders-03",
        "3 sessions of somebody else are open",
    ]


def test_a_person_ends_it_in_another_shell(tmp_path: Path) -> None:
    file = tmp_path / "env"
    command = [*COMMAND, "leak", "--secrets", "3", "--env-file", str(file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as drill:
        while not file.exists():
            assert drill.poll() is None
            time.sleep(0.1)
        # One credential at a time ends it, too: what counts is what is so in the end.
        emergency = f"{sys.executable} -m rotation emergency $1 --reason exercise"
        for number in (1, 2, 3):
            shell = ["sh", "-c", f". {file}; {emergency}", "sh", f"orders-0{number}"]
            subprocess.run(shell, check=True, capture_output=True, timeout=60)
        out, _ = drill.communicate(timeout=60)
    assert (drill.returncode, json.loads(out)["over"]) == (0, True)
    assert not file.exists()


def test_ctrl_c_gives_up_and_leaves_nothing(tmp_path: Path, scratch: Path) -> None:
    file = tmp_path / "env"
    command = [*COMMAND, "revert", "--secrets", "3", "--env-file", str(file)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as drill:
        while not file.exists():
            assert drill.poll() is None
            time.sleep(0.1)
        os.kill(drill.pid, signal.SIGINT)
        _, err = drill.communicate(timeout=60)
    assert (drill.returncode, err.strip()) == (130, b"rotation: interrupted")
    assert list(scratch.iterdir()) == []
    assert not file.exists()


def test_an_unknown_scenario_is_named() -> None:
    done = subprocess.run([*COMMAND, "fire"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no scenario fire; one of: leak, blocked, revert" in done.stderr
