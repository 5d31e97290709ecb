"""What is counted must stay as it is; what is timed is measured by ``make bench``, never asserted.

The bench runs as people run it, in a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.slow

Figures = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {figure["name"]: figure for figure in json.loads(file.read_text())["figures"]}


def test_every_counted_goalpost_is_met(figures: Figures) -> None:
    counted = [figure for figure in figures.values() if figure["unit"] == "" and figure["goal"]]
    assert len(counted) >= 15
    assert [figure for figure in counted if figure["verdict"] != "met"] == []


@pytest.mark.parametrize(
    ("start", "accesses", "logins"),
    [("warm", 1, 1), ("cold", 2, 2)],
)
def test_a_rotation_makes_exactly_these_calls(
    figures: Figures, start: str, accesses: int, logins: int
) -> None:
    methods = {
        "GetSecret": 1,
        "UpdateSecret": 2,
        "AccessSecretVersion": accesses,
        "AddSecretVersion": 1,
    }
    found = {method: figures[f"calls, {start}: {method}"]["value"] for method in methods}
    assert found == methods
    assert figures[f"calls, {start}"]["value"] == sum(methods.values())
    assert figures[f"calls one after the other, {start}"]["value"] == 4
    assert figures[f"logins, {start}"]["value"] == logins
    # Four for a login, one for the start of TCP among them, and one for each pipeline.
    assert figures[f"round trips to the database, {start}"]["value"] <= 8 + 4 * (logins - 1)


def test_a_rotation_does_not_cost_more_among_more_secrets(figures: Figures) -> None:
    assert figures["a rotation among 2000 secrets / among 100: calls"]["value"] == 1
    assert figures["sweep of 2000 secrets: calls"]["value"] == 2


def test_the_function_never_imports_the_client_it_does_not_need() -> None:
    code = "import main, sys; print(*(each for each in sys.modules if 'pubsub' in each))"
    pushed = {"ROTATION_PUSH_AUDIENCE": "https://rotation.example", "ROTATION_PUSH_ACCOUNT": "push"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **pushed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
