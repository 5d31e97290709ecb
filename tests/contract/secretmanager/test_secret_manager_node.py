import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from secretmanager_rows import ROWS, Json
from secretmanager_support import Broker, dotted

from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store

PACKAGE = "@google-cloud/secret-manager"
#: The packages, each with its version and hash.
LOCKED = Path(__file__).with_name("node")
DRIVER = Path(__file__).with_name("secret_manager_driver.js")
NODE_ROWS = [row for row in ROWS if row.node]
# Every row has a project of its own, so that all run in one Node process.
PROJECTS = {f"demo-{number}": number for number in range(1001, 1001 + len(NODE_ROWS))}

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        not shutil.which("node") or not shutil.which("npm"), reason="needs Node.js and npm"
    ),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = os.environ.get("ROTATION_TEST_NODE_CACHE")
    folder = Path(cache) if cache else tmp_path_factory.mktemp("node")
    if not (folder / "node_modules" / PACKAGE).exists():
        shutil.copytree(LOCKED, folder, dirs_exist_ok=True)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--silent", "--ignore-scripts"]
        installed = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        if installed.returncode:
            pytest.skip(f"npm cannot install {PACKAGE} here")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Background[SecretManagerServer]]:
    store = Store(projects=PROJECTS, publish=Broker().publish)
    with serve_in_background(lambda: SecretManagerServer(store)) as background:
        yield background


@pytest.fixture(scope="module")
def outcomes(packages: Path, server: Background[SecretManagerServer]) -> dict[str, Json]:
    rows = [
        {"name": row.name, "calls": relocated(row.calls, project)}
        for row, project in zip(NODE_ROWS, PROJECTS, strict=True)
    ]
    run = subprocess.run(
        ["node", DRIVER, server.served.grpc_address.rpartition(":")[2]],
        cwd=packages,
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return {line["name"]: line for line in lines}


def relocated(value: Json, project: str) -> Json:
    """Move a request to a row's own project; spell bytes as base64."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case str():
            moved = value.replace("projects/demo-project", f"projects/{project}")
            return moved.replace("projects/123456789012", f"projects/{PROJECTS[project]}")
        case dict():
            return {key: relocated(item, project) for key, item in value.items()}
        case list() | tuple():
            return [relocated(item, project) for item in value]
        case _:
            return value


@pytest.mark.parametrize("number", range(len(NODE_ROWS)), ids=[row.name for row in NODE_ROWS])
def test_node_client_sees_what_the_real_service_does(
    number: int, outcomes: dict[str, Json]
) -> None:
    row, project = NODE_ROWS[number], list(PROJECTS)[number]
    outcome = outcomes[row.name]
    if row.status:
        status = next(code for code in grpc.StatusCode if code.value[0] == outcome["code"])
        assert (status.name, outcome["message"]) == (row.status, relocated(row.message, project))
        return
    *before, answer = outcome["answers"]
    for path, expected in relocated(row.fields, project).items():
        if isinstance(expected, dict) and "$result" in expected:
            index, there = expected["$result"]
            expected = dotted(before[index], there)  # noqa: PLW2901
        assert dotted(answer, path) == expected
    assert not any(dotted(answer, path) for path in row.absent)


def test_twenty_rows_or_more_are_run() -> None:
    assert len(NODE_ROWS) >= 20
