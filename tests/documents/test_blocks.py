"""What the pages' blocks are, without running them."""

import json
from pathlib import Path

import pytest
import yaml

from rotation.cli.main import main
from tests.documents.blocks import Block, blocks, pages, parse

EVERY = [block for path in pages() for block in blocks(path)]


def of(language: str, word: str = "") -> list[object]:
    """Return the blocks of a language, with their place as the test's name."""
    found = [block for block in EVERY if block.language == language]
    return [
        pytest.param(block, id=block.place) for block in found if not word or word in block.words
    ]


def test_every_block_says_what_it_is() -> None:
    assert len(EVERY) > 50
    assert [fault for block in EVERY for fault in block.faults()] == []


def test_a_block_that_says_nothing_would_be_seen() -> None:
    text = "# Page\n\n```\nls\n```\n\n```sh clout\nls\n```\n\n```sh exit=3\nls\n```\n"
    bare, misspelt, sound = parse(Path(__file__), text)
    assert [len(list(block.faults())) for block in (bare, misspelt, sound)] == [1, 1, 0]
    assert (sound.exit_code, sound.heading, sound.text) == (3, "page", "ls\n")


@pytest.mark.parametrize("block", of("yaml", "policy"))
def test_a_policy_on_a_page_is_sound(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, document = tmp_path / "policy.yaml", tmp_path / "targets.yaml"
    file.write_text(block.text)
    [shown] = [block for block in EVERY if "targets" in block.words]
    document.write_text(shown.text)
    monkeypatch.setenv("ROTATION_TARGETS", str(document))
    assert main(["policy", "validate", str(file)]) == 0


def test_a_targets_document_on_a_page_is_sound_and_allows_the_policy_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, policy = tmp_path / "targets.yaml", tmp_path / "policy.yaml"
    [shown] = [block for block in EVERY if "targets" in block.words]
    [on_it] = [block for block in EVERY if "on-targets" in block.words]
    document.write_text(shown.text)
    policy.write_text(on_it.text)
    assert main(["targets", "validate", str(document)]) == 0
    monkeypatch.setenv("ROTATION_TARGETS", str(document))
    monkeypatch.setenv("ROTATION_PROJECT", "acme")
    assert main(["targets", "test", "orders", str(policy)]) == 0


@pytest.mark.parametrize("block", of("yaml"))
def test_yaml_on_a_page_can_be_read(block: Block) -> None:
    if "fragment" not in block.words:
        assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", of("json"))
def test_json_on_a_page_can_be_read(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("python"))
def test_python_on_a_page_can_be_compiled(block: Block) -> None:
    compile(block.text, block.place, "exec")
