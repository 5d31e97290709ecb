"""The commands that are for a real project alone are held to the SDK's own list of commands."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_gcloud_script import gcloud_tree, unknown_in
from tests.documents.blocks import Block, blocks, pages
from tests.documents.terminal import Terminal

CLOUD = [block for path in pages() for block in blocks(path) if "cloud" in block.words]


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    folder = Path(tempfile.mkdtemp(prefix="rotation-documents-"))
    folder.chmod(0o755)
    yield Terminal(folder, own_gcloud=False)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tree() -> Any:
    return gcloud_tree()


@pytest.mark.parametrize("block", CLOUD, ids=lambda block: block.place)
def test_gcloud_knows_every_command_and_flag(block: Block, terminal: Terminal, tree: Any) -> None:
    terminal.recorded.write_text("")
    # What the page has written before.
    (terminal.work / "targets.yaml").write_text("targets: {}\n")
    ran = terminal.run(block.text, cloud=True)
    assert ran.code == 0, ran.output
    calls = [json.loads(line) for line in terminal.recorded.read_text().splitlines()]
    asked = [
        [word for word in words if word != "--quiet"]  # every command has it
        for program, *words in calls
        if program == "gcloud"
    ]
    assert [fault for words in asked if (fault := unknown_in(words, tree))] == []


def test_an_unknown_flag_would_be_seen(tree: Any) -> None:
    assert unknown_in(["run", "deploy", "rotation", "--no-such-flag=1"], tree)
    assert unknown_in(["run", "depoly", "rotation"], tree)
