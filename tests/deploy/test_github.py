import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.world import ROOT, linter

FILES = sorted((ROOT / "deploy/github").glob("*.yml"))
each_workflow = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
INJECTED = [
    '"; touch {0}/x; "',
    "$(touch {0}/x)",
    "`touch {0}/x`",
    "x' ; touch {0}/x #",
    "--help\ntouch {0}/x",
]


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        yield from job["steps"]


@each_workflow
def test_actionlint_has_nothing_to_say(file: Path) -> None:
    linter("actionlint", "-no-color", "-oneline", file)


@each_workflow
def test_zizmor_has_nothing_to_say(file: Path) -> None:
    linter("zizmor", "--offline", "--no-progress", "--persona=pedantic", file)


@each_workflow
def test_no_expression_is_pasted_into_a_script(file: Path) -> None:
    assert [step for step in steps(file) if "${{" in step.get("run", "")] == []


@each_workflow
def test_every_action_is_pinned_to_a_commit(file: Path) -> None:
    used = [step["uses"] for step in steps(file) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)] == []


@each_workflow
def test_only_what_a_lock_names_is_installed_with_its_hash(file: Path) -> None:
    [install] = [step["run"] for step in steps(file) if step.get("name") == "Install"]
    libraries, ourselves = install.splitlines()
    assert "--require-hashes" in libraries
    assert "--only-binary :all:" in libraries
    [lock] = re.findall(r"--requirement (\S+)", libraries)
    # The project itself, by what the lock has brought: nothing is downloaded for it.
    assert {"--no-deps", "--no-build-isolation", "--no-index"} <= set(ourselves.split())
    assert "setuptools==" in (ROOT / lock).read_text()


@pytest.mark.slow
def test_the_steps_that_install_give_the_command(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "rotation", tree / "rotation")
    for name in ("pyproject.toml", "README.md", "LICENSE", "deploy/requirements-cli.txt"):
        (tree / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    path = f"{tmp_path / 'venv/bin'}:/usr/bin:/bin"
    [script] = {
        step["run"] for file in FILES for step in steps(file) if step.get("name") == "Install"
    }
    for command in (script, "rotation policy schema"):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=tree,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@each_workflow
def test_no_secret_is_in_an_input_or_an_environment(file: Path) -> None:
    assert "secrets." not in file.read_text()


@each_workflow
def test_rights_are_given_to_the_job_alone(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    assert all(job["permissions"]["contents"] == "read" for job in workflow["jobs"].values())


def test_the_emergency_waits_for_an_approval() -> None:
    workflow = yaml.safe_load((ROOT / "deploy/github/emergency.yml").read_text())
    assert workflow["jobs"]["emergency"]["environment"] == "rotation-emergency"
    assert workflow["concurrency"]["cancel-in-progress"] is False


def run_last(file: Path, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a workflow as the runner does, with `rotation` that records its words."""
    (folder / "bin").mkdir(exist_ok=True)
    command = folder / "bin/rotation"
    command.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        f"open({str(folder / 'words')!r}, 'w').write(json.dumps(sys.argv[1:]))\n"
        "sys.exit(int(os.environ.get('STATUS', '0')))\n"
    )
    command.chmod(0o755)
    script = folder / "script"
    script.write_text([step["run"] for step in steps(file) if "run" in step][-1])
    environment = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "GITHUB_ACTOR": "ada",
        "GITHUB_RUN_ID": "7",
        "SECRET": "",
        "FILTER": "",
        "REASON": "",
        **inputs,
    }
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
    return subprocess.run(
        shell, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["rotate", "emergency"])
@pytest.mark.parametrize("text", INJECTED)
def test_an_input_is_never_run(tmp_path: Path, name: str, text: str) -> None:
    bad = text.format(tmp_path)
    run_last(ROOT / f"deploy/github/{name}.yml", tmp_path, SECRET=bad, REASON=bad)
    assert not (tmp_path / "x").exists()
    words = yaml.safe_load((tmp_path / "words").read_text())
    assert words[-2:] == ["--", bad]
    assert f"--reason={bad}" in words


@pytest.mark.parametrize("name", ["rotate", "emergency"])
def test_the_exit_status_of_the_command_decides(tmp_path: Path, name: str) -> None:
    file = ROOT / f"deploy/github/{name}.yml"
    assert run_last(file, tmp_path, SECRET="orders", STATUS="0").returncode == 0
    assert run_last(file, tmp_path, SECRET="orders", STATUS="3").returncode == 3


def test_an_emergency_takes_a_secret_or_a_filter(tmp_path: Path) -> None:
    file = ROOT / "deploy/github/emergency.yml"
    assert run_last(file, tmp_path, FILTER="labels.db=orders").returncode == 0
    assert "--filter=labels.db=orders" in (tmp_path / "words").read_text()
    assert run_last(file, tmp_path).returncode == 2
    assert run_last(file, tmp_path, SECRET="a", FILTER="b").returncode == 2
