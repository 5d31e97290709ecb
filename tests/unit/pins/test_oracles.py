"""Parsers that nobody here wrote read the golden files before and after."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rotation.pins import hcl_tree
from rotation.pins.source import Source
from rotation.pins.tree import Style, leaves
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
    return next((check for end, check in PARSERS.items() if path.endswith(end)), None)


def parsed(content: bytes, path: str) -> Any:
    parse = parser(path)
    assert parse is not None
    return parse(content.decode("utf-8-sig").replace("\r\n", "\n"))


def values(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(node, dict | list):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            yield from values(child, (*path, key))
    else:
        yield path, node


#: Templates are nobody's YAML, and ruamel.yaml takes no tab in front of a comment.
OTHERS = ("helm-template", "tabs-and-trailing-space", "unchanged")
READABLE = [name for name in MOVED if parser(CASES[name]["file"]) and not name.startswith(OTHERS)]


@pytest.mark.parametrize("name", READABLE)
def test_others_see_only_the_versions_change(name: str) -> None:
    content, path = before(name)
    after = (GOLDEN / name / "expected").read_bytes()
    old, new = (dict(values(parsed(part, path))) for part in (content, after))
    assert list(old) == list(new)
    changed = {key: (old[key], new[key]) for key in old if old[key] != new[key]}
    assert changed
    for was, became in changed.values():
        assert type(was) is type(became)
        assert re.sub("[034]", "#", str(was)) == re.sub("[034]", "#", str(became))


TERRAFORM = [
    name for name in CASES if CASES[name]["file"].endswith((".tf", ".tfvars")) and name in MOVED
]


def tokens(tree: Any) -> list[Any]:
    """The tokens below a node of the other parser, in order."""
    if not hasattr(tree, "children"):
        return [tree]
    return [token for child in tree.children if child is not None for token in tokens(child)]


def literals(tree: Any) -> set[tuple[int, int]]:
    """Where attributes and object elements have a string or a number as their whole value."""
    found = set()
    for node in tree.iter_subtrees():
        if node.data not in {"attribute", "object_elem"} or node.children[-1].data != "expr_term":
            continue
        (*_, value) = node.children[-1].children
        if getattr(value, "data", "") in {"string", "int_lit"}:
            parts = tokens(value)
            found.add((parts[0].start_pos, parts[-1].end_pos))
    return found


@pytest.mark.parametrize("name", TERRAFORM)
def test_our_parser_of_hcl_sees_the_literals_where_another_does(name: str) -> None:
    content, path = before(name)
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    theirs = literals(hcl2.parses_to_tree(text))
    (document,) = hcl_tree.parse(Source(path, text))
    ours = {
        (leaf.start - (leaf.style is Style.QUOTED), leaf.end + (leaf.style is Style.QUOTED))
        for _, leaf in leaves(document)
        if leaf.style in {Style.QUOTED, Style.PLAIN}
    }
    assert theirs or name == "terraform-heredoc"  # it has none
    assert theirs == ours
