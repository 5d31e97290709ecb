"""`rotation drill`: incidents that the right commands end, and that nothing else does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from rotation.local.drill.scenarios import SCENARIOS

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "rotation", "drill"]


def left_behind() -> list[str]:
    return [path.name for path in Path(tempfile.gettempdir()).glob("rotation-drill-*")]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_right_commands_end_the_incident(name: str) -> None:
    before = left_behind()
    command = [*COMMAND, name, "--secrets", "4", "--auto", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["over"], verdict["missing"]) == (0, True, []), done.stderr
    assert left_behind() == before


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


def test_ctrl_c_gives_up_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "env"
    before = left_behind()
    command = [*COMMAND, "revert", "--secrets", "3", "--env-file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as drill:
        while not file.exists():
            assert drill.poll() is None
            time.sleep(0.1)
        os.kill(drill.pid, signal.SIGINT)
        _, err = drill.communicate(timeout=60)
    assert (drill.returncode, err.strip()) == (130, b"rotation: interrupted")
    assert left_behind() == before
    assert not file.exists()


def test_an_unknown_scenario_is_named() -> None:
    done = subprocess.run([*COMMAND, "fire"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no scenario fire; one of: leak, blocked, revert" in done.stderr
