import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotation.engine.crashpoints import never
from rotation.local import embedded

README = Path(__file__).parent.parent.parent / "README.md"


def test_without_variables_a_process_is_as_on_google_cloud() -> None:
    assert embedded.clock({}) is None
    assert embedded.identity({}) == ""
    assert embedded.crash_point({}) is never


def test_the_clock_is_the_one_that_the_stack_moves(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_text("7200.0\n")
    clock = embedded.clock({"ROTATION_CLOCK_FILE": str(file)})
    assert clock is not None
    assert clock.now() - datetime.now(UTC) > timedelta(hours=1)


REACHING = """
import sys
from rotation.engine.crashpoints import CrashPoint
from rotation.local import embedded
reach = embedded.crash_point()
reach(CrashPoint.CLAIMED)
reach(CrashPoint.MINTED)
reach(CrashPoint.MINTED)
sys.exit(7)
"""


def test_a_crash_point_interrupts_once(tmp_path: Path) -> None:
    environment = {"ROTATION_CRASH_AT": "minted:stop", "ROTATION_CRASH_MARKER": "fired"}
    child = subprocess.Popen(
        [sys.executable, "-c", REACHING], cwd=tmp_path, env={**os.environ, **environment}
    )
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert (tmp_path / "fired").exists()
    child.send_signal(signal.SIGCONT)
    assert child.wait(30) == 7


@pytest.mark.parametrize("named", ["nowhere:kill", "minted:explode", "minted"])
def test_a_faulty_crash_point_is_refused(named: str) -> None:
    with pytest.raises(ValueError, match=r"nowhere|explode|''"):
        embedded.crash_point({"ROTATION_CRASH_AT": named})


def test_every_variable_is_in_the_readme() -> None:
    source = Path(embedded.__file__).read_text()
    names = {word for word in source.split('"') if word.startswith("ROTATION_")}
    assert len(names) == 5
    assert [name for name in names if name not in README.read_text()] == []
