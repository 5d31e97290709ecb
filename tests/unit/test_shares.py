import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shares import Share

ROOT = Path(__file__).parents[2]
NAMES = [f"test_fault[{number}]" for number in range(200)]


def taken(share: Share) -> set[str]:
    return {name for name in NAMES if share.takes(name)}


def test_shares_are_apart_and_together_everything() -> None:
    shares = [taken(Share(number, 4)) for number in range(4)]
    assert set().union(*shares) == set(NAMES)
    assert sum(map(len, shares)) == len(NAMES)
    assert min(map(len, shares)) > 20


def test_the_number_of_a_commit_is_some_share() -> None:
    assert taken(Share.parse("252645135/4")) == taken(Share(3, 4))
    assert taken(Share()) == set(NAMES)


@pytest.mark.parametrize("text", ["", "3", "3/0", "-1/4", "a/4", "1/4/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="K/N"):
        Share.parse(text)


def test_pytest_leaves_out_other_shares_of_what_is_exhaustive_and_nothing_else(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_many.py").write_text(
        "import pytest\n"
        "@pytest.mark.exhaustive\n"
        "@pytest.mark.parametrize('number', range(40))\n"
        "def test_one(number): pass\n"
        "def test_always(): pass\n"
    )
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    lines: list[str] = []
    for number in range(2):
        command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--collect-only", "-q"]
        command += ["-p", "no:cacheprovider", f"--rootdir={tmp_path}", f"--share={number}/2"]
        command += ["-W", "ignore", tmp_path]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        lines += [line for line in run.stdout.splitlines() if "::" in line]
    ones = [line for line in lines if "test_one" in line]
    assert len(ones) == len(set(ones)) == 40
    assert sum("test_always" in line for line in lines) == 2
