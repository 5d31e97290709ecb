"""Byte for byte: what becomes of each golden file."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotation.model.names import SecretName
from rotation.pins import Pin, PinError, find, parsing, repin
from rotation.pins.errors import REASONS
from rotation.pins.source import Source

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = tomllib.loads((GOLDEN / "cases.toml").read_text())
MOVED = [name for name, case in CASES.items() if "refused" not in case]
REFUSED = [name for name, case in CASES.items() if "refused" in case]

ORDERS = SecretName("acme", "orders")
PROJECT = {"acme", "123456789012"}


def same(one: str, other: str) -> bool:
    return one == other or {one, other} == PROJECT


def pin_of(case: dict[str, Any]) -> Pin:
    return Pin(ORDERS, case.get("locate", "marker"), case.get("pointer", ""), same)


def before(name: str) -> tuple[bytes, str]:
    path: str = CASES[name]["file"]
    return (GOLDEN / name / path).read_bytes(), path


def previous(case: dict[str, Any]) -> int | None:
    found = case.get("previous", 3)
    return None if found == "none" else int(found)


@pytest.mark.parametrize("name", MOVED)
def test_the_version_moves_and_nothing_else(name: str) -> None:
    content, path = before(name)
    expected = (GOLDEN / name / "expected").read_bytes()
    pin = pin_of(CASES[name])
    assert repin(content, path, pin, previous(CASES[name]), 4) == expected
    places = find(expected, path, pin)
    assert {place.value for place in places} == {"4"}
    assert {expected[place.start : place.end] for place in places} == {b"4"}
    assert repin(expected, path, pin, 3, 4) is expected
    assert repin(expected, path, pin, 4, 12) == b"".join(renumbered(expected, path, pin, b"12"))


def renumbered(content: bytes, path: str, pin: Pin, number: bytes) -> list[bytes]:
    parts, at = [], 0
    for place in find(content, path, pin):
        parts += [content[at : place.start], number]
        at = place.end
    return [*parts, content[at:]]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_sure_is_refused(name: str) -> None:
    content, path = before(name)
    with pytest.raises(PinError) as caught:
        repin(content, path, pin_of(CASES[name]), previous(CASES[name]), 4)
    assert caught.value.reason == CASES[name]["refused"]
    assert CASES[name]["says"] in str(caught.value)
    assert path in str(caught.value) or "pointer" in str(caught.value)
    assert caught.value.remedy


#: The one in Python takes no tab in front of a comment.
YAML = [name for name in CASES if ".y" in CASES[name]["file"] and not name.startswith("tabs")]


@pytest.mark.parametrize("name", YAML)
def test_both_parsers_of_yaml_see_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trees() -> object:
        content, path = before(name)
        try:
            return parsing.documents(Source.decode(content, path))
        except PinError as error:
            return error.reason

    assert hasattr(yaml, "CSafeLoader")
    fast = trees()
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert trees() == fast


def test_every_reason_and_every_file_is_played() -> None:
    assert {CASES[name]["refused"] for name in REFUSED} | {"pin-unverified"} == set(REASONS)
    folders = {path.name for path in GOLDEN.iterdir() if path.is_dir()}
    assert folders == set(CASES)
    assert len(folders) >= 60
