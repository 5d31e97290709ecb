import importlib.util
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.world import ROOT, SCENARIOS, Script, linter

SCRIPTS = ROOT / "deploy/gcloud"
TREE = Path("/usr/lib/google-cloud-sdk/data/cli/gcloud_completions.py")
#: Of every command, and not in the tree of each.
EVERYWHERE = {"--project", "--format", "--filter", "--flatten"}


@cache
def gcloud_tree() -> Any:
    if not TREE.is_file():
        pytest.skip(f"the Google Cloud SDK with its list of commands is not at {TREE}")
    spec = importlib.util.spec_from_file_location("gcloud_completions", TREE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.STATIC_COMPLETION_CLI_TREE


def unknown_in(command: list[str], tree: Any) -> str | None:
    node = tree
    for word in command:
        if word.startswith("--") or word not in node.get("commands", {}):
            break
        node = node["commands"][word]
    if node.get("commands"):
        return f"no command: gcloud {' '.join(command)}"
    flags = {word.split("=")[0] for word in command if word.startswith("--")}
    known = {*node["flags"], *(f"--no-{flag[2:]}" for flag in node["flags"]), *EVERYWHERE}
    return f"gcloud {' '.join(command)}: {flags - known}" if flags - known else None


@pytest.mark.gcloud
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_gcloud_knows_every_command_and_flag_of_the_scripts(tmp_path: Path, scenario: str) -> None:
    tree, script = gcloud_tree(), Script(tmp_path, scenario)
    for name in ("deploy.sh", "deploy.sh", "remove.sh"):
        assert script.run(name, DELETE_SECRETS="shop").returncode == 0
    assert [
        unknown for unknown in (unknown_in(command, tree) for command in script.commands) if unknown
    ] == []


@pytest.mark.gcloud
def test_an_unknown_flag_would_be_found() -> None:
    tree = gcloud_tree()
    assert unknown_in(["pubsub", "topics", "create", "x", "--colour=red"], tree)
    assert unknown_in(["pubsub", "themes", "create", "x"], tree)


@pytest.mark.parametrize("script", ["deploy.sh", "remove.sh"])
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    linter("shellcheck", SCRIPTS / script)


@pytest.mark.parametrize("script", ["deploy.sh", "remove.sh"])
def test_scripts_stop_at_the_first_error_and_evaluate_nothing(script: str) -> None:
    text = (SCRIPTS / script).read_text()
    assert "set -euo pipefail" in text
    assert "eval " not in text


def test_a_missing_project_is_named() -> None:
    done = subprocess.run(
        [SCRIPTS / "deploy.sh"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "set PROJECT to the project id" in done.stderr
    assert shutil.which("bash")
