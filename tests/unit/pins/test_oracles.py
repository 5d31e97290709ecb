"""Parsers that nobody here wrote read the golden files before and after."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.pins.test_golden import CASES, GOLDEN, MOVED, before

hcl2 = pytest.importorskip("hcl2", reason="pip install python-hcl2")
ruamel = pytest.importorskip("ruamel.yaml", reason="pip install ruamel.yaml")


def yaml(text: str) -> Any:
    return list(ruamel.YAML(typ="safe", pure=True).load_all(text))


PARSERS: dict[str, Callable[[str], Any]] = {
    ".yaml": yaml,
    ".yml": yaml,
    ".json": json.loads,
    ".toml": tomllib.loads,
    ".tf": hcl2.loads,
    ".tfvars": hcl2.loads,
}


def parser(path: str) -> Callable[[str], Any] | None:
    return next((each for end, each in PARSERS.items() if path.endswith(end)), None)


def parsed(content: bytes, path: str) -> Any:
    parse = parser(path)
    assert parse is not None
    return parse(content.decode("utf-8-sig").replace("\r\n", "\n"))


def values(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(node, dict | list):
        for key, each in node.items() if isinstance(node, dict) else enumerate(node):
            yield from values(each, (*path, key))
    else:
        yield path, node


#: Templates are nobody's YAML, and ruamel.yaml takes no tab in front of a comment.
OTHERS = ("helm-template", "tabs-and-trailing-space", "unchanged")
READABLE = [name for name in MOVED if parser(CASES[name]["file"]) and not name.startswith(OTHERS)]


@pytest.mark.parametrize("name", READABLE)
def test_others_see_only_the_versions_change(name: str) -> None:
    content, path = before(name)
    after = (GOLDEN / name / "expected").read_bytes()
    old, new = (dict(values(parsed(each, path))) for each in (content, after))
    assert list(old) == list(new)
    changed = {key: (old[key], new[key]) for key in old if old[key] != new[key]}
    assert changed
    for was, became in changed.values():
        assert type(was) is type(became)
        assert re.sub("[034]", "#", str(was)) == re.sub("[034]", "#", str(became))
