import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.world import ROOT

MODULE = ROOT / "deploy/terraform"


@pytest.mark.slow
def test_checkov_finds_nothing_that_is_not_argued(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv/bin/python", "-m", "pip", "install", "-q"]
    locked = ["--require-hashes", "--no-deps", "-r", ROOT / "deploy/requirements-checkov.txt"]
    subprocess.run([*pip, *locked], check=True, timeout=280)
    done = subprocess.run(
        [tmp_path / "venv/bin/checkov", "--skip-download", "--quiet", "--compact", "-d", MODULE],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout


def test_every_exception_says_why() -> None:
    for file in MODULE.rglob("*.tf"):
        for argued in re.findall(r"#checkov:skip=\w+(.*)", file.read_text()):
            assert re.fullmatch(r":.{30,}", argued), f"{file.name}: {argued}"
