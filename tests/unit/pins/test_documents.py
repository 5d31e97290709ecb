"""What the page about pins says is so."""

import json
import re
from pathlib import Path

import pytest

from rotation.cli.views.scanning import SKIPPED_SUFFIXES
from rotation.model.names import SecretName
from rotation.pins import Pin, find, pointer
from rotation.pins.errors import REASONS
from rotation.pins.source import MAX_BYTES
from rotation.pins.tree import MAX_DEPTH
from rotation.pins.use import State

PAGE = (Path(__file__).parents[3] / "deploy" / "docs" / "pins.md").read_text()
BLOCKS = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ORDERS = SecretName("acme", "orders")


def section(title: str) -> str:
    return PAGE.split(f"# {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_reason_and_every_state_is_explained() -> None:
    assert set(re.findall(r"^\| `(pin-[a-z-]+)` \|", PAGE, re.MULTILINE)) == set(REASONS)
    states = re.findall(r"^\| `([a-z]+)` \| .* \| .*\|$", section("rotation scan"), re.MULTILINE)
    assert set(states) == {state.value for state in State}


def test_the_limits_are_the_ones_in_force() -> None:
    assert f"{MAX_BYTES // 1024 // 1024} MiB" in PAGE
    assert f"{MAX_DEPTH} levels" in PAGE
    assert all(f"`{suffix}`" in PAGE for suffix in SKIPPED_SUFFIXES)


def test_the_pointers_can_be_read() -> None:
    (listed,) = [text for _, text in BLOCKS if text.startswith("spec.template.spec")]
    assert len(listed.splitlines()) == 4
    for line in listed.splitlines():
        pointer.check(line)


@pytest.mark.parametrize("name", ["secrets.lock.json", "secrets.lock.toml"])
def test_the_pins_files_are_found(name: str) -> None:
    kind = name.rsplit(".", 1)[1]
    texts = [text for language, text in BLOCKS if language == kind]
    (text,) = [text for text in texts if "secrets" in text]
    (place,) = find(text.encode(), name, Pin(ORDERS, "resource"))
    assert place.value == "3"


def test_the_markers_are_markers() -> None:
    (listed,) = [text for _, text in BLOCKS if text.startswith("{{/*")]
    markers = [word for line in listed.splitlines() for word in re.split(r"  +", line)]
    assert len(markers) == 4
    for marker in markers:
        (place,) = find(f"{marker}\nversion = 3\n".encode(), "a.txt", Pin(ORDERS))
        assert (place.value, place.line) == ("3", 2)
    (yaml,) = [text for language, text in BLOCKS if language == "yaml" and "$rotation" in text]
    assert len(find(yaml.encode(), "a.yaml", Pin(ORDERS))) == 1


def test_json_examples_are_json() -> None:
    for language, text in BLOCKS:
        if language == "json":
            json.loads(text)
