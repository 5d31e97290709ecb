"""The mass emergency in small: killed in the middle, resumed, nothing lost and nothing twice.

What is timed is measured by ``make bench``, never asserted.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def test_a_mass_emergency_that_is_killed_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "emergency", "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(file.read_text())["figures"]
    counted = [figure for figure in figures if figure["goal"] and figure["unit"] == ""]
    assert len(counted) == 18
    assert [figure for figure in counted if figure["verdict"] != "met"] == []
