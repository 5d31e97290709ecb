import importlib.util
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rotation.model.names import SecretName
from tests.deploy.world import ROOT, SCENARIOS, TARGETS, Script, linter
from tests.support.secret_manager import PROJECT, embedded_secret_manager

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


HOSTILE = ["-x", "--help", "$(touch {0})", "`touch {0}`", "a b", "a;touch x", "a\nb", "'", '"', "*"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_names_no_secret_is_refused_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    script = Script(tmp_path, "from source")
    (tmp_path / "secrets" / f"{name.format('x')}.json").write_text("{}")
    done = script.run("deploy.sh", cwd=tmp_path)
    assert done.returncode != 0
    assert "is not the id of a secret" in done.stderr
    assert not (tmp_path / "commands").exists()
    assert not (tmp_path / "x").exists()


def test_without_our_command_nothing_is_made(tmp_path: Path) -> None:
    script = Script(tmp_path, "from source")
    (tmp_path / "bin/rotation").unlink()
    done = script.run("deploy.sh", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.returncode != 0
    assert "pip install" in done.stderr
    assert not (tmp_path / "commands").exists()


KEYS = "projects/acme-prod/secrets/rotation-keys"
FAULTY = [
    ({"target": {}}, "targets"),
    ({"targets": {"a": {"kind": "postgresql", "hots": "x", "secrets": [KEYS]}}}, "hots"),
    (
        {"targets": {"orders-db": TARGETS["targets"]["orders-db"] | {"admin": KEYS}}},
        "rotation-keys",
    ),
]


@pytest.mark.parametrize(("document", "named"), FAULTY)
def test_a_faulty_targets_document_is_refused_before_anything_is_made(
    tmp_path: Path, document: Any, named: str
) -> None:
    script = Script(tmp_path, "from source")
    (tmp_path / "targets.yaml").write_text(json.dumps(document))
    done = script.run("deploy.sh")
    assert done.returncode != 0
    assert named in done.stderr
    assert not (tmp_path / "commands").exists()


@pytest.mark.parametrize("name", ["rotation-keys", "rotation-targets"])
def test_the_deployments_own_secrets_are_neither_rotated_nor_read_by_others(
    tmp_path: Path, name: str
) -> None:
    script = Script(tmp_path, "from source")
    done = script.run("deploy.sh", READS=name)
    assert done.returncode != 0
    assert "the deployment's own" in done.stderr
    assert not (tmp_path / "commands").exists()


@pytest.mark.slow
def test_what_is_chosen_is_a_word_of_a_command(tmp_path: Path) -> None:
    script = Script(tmp_path, "from source")
    odd = f"$(touch {tmp_path / 'x'})`touch {tmp_path / 'x'}`;\"'|&"
    named = dict.fromkeys(("VIEWERS", "OPERATORS", "DOCTORS"), f"user:{odd}")
    (tmp_path / "secrets/orders.consumers").write_text(f"user:*\nuser:{odd}")
    (tmp_path / "user:a").touch()
    urls = {"RUNBOOKS_URL": f"{odd}e", "ENVIRONMENT": f"A={odd}"}
    done = script.run("deploy.sh", cwd=tmp_path, **{**named, **urls, "VIEWERS": "user:*"})
    assert not (tmp_path / "x").exists()
    words = {word for command in script.commands for word in command}
    assert "--member=user:*" in words, done.stderr
    assert f"--member=user:{odd}" in words


@pytest.mark.slow
def test_a_second_run_keeps_what_others_and_the_function_have_written(tmp_path: Path) -> None:
    policy = {"issuer": {"kind": "value"}, "soak": "2h"}
    with embedded_secret_manager() as embedded:
        for secret in ("orders", "shop"):
            embedded.create(
                secret, labels={"team": "db"}, annotations={"terraform.x": "a,b~~~'\"$(c)"}
            )
        script = Script(tmp_path, "from source")
        (tmp_path / "bin/rotation").unlink()
        for name in ("orders", "shop"):
            (tmp_path / f"secrets/{name}.json").write_text(json.dumps(policy))
        here = {
            "PROJECT": PROJECT,
            "SECRET_MANAGER_ENDPOINT": embedded.endpoint,
            "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        assert script.run("deploy.sh", **here).returncode == 0
        name = SecretName(PROJECT, "orders")
        first = embedded.store.get(name)
        assert json.loads(first.annotations["rotation.policy"]) == policy
        record = {**first.annotations, "rotation.record": "in flight"}
        labels = {**first.labels, "rotation_phase": "soaking"}
        embedded.store.update(first, labels=labels, annotations=record, aliases={})
        (tmp_path / "secrets/orders.json").write_text(json.dumps({**policy, "soak": "3h"}))
        done = script.run("deploy.sh", **here)
        assert done.returncode == 0, done.stderr
        second = embedded.store.get(name)
    assert json.loads(second.annotations["rotation.policy"])["soak"] == "3h"
    assert second.annotations["rotation.record"] == "in flight"
    assert second.annotations["terraform.x"] == "a,b~~~'\"$(c)"
    assert second.labels == labels
