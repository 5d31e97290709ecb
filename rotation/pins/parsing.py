"""Parses a file by the format that its name stands for.

Rules of this module:
  1. A template of a format (Helm, Jinja) is parsed with its actions taken out, place for place;
     values that hold actions are their text.
  2. A template that cannot be parsed even so is lines only; anything else that cannot be parsed is
     refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from rotation.pins import dotenv_tree, hcl_tree, json_tree, toml_tree, yaml_tree
from rotation.pins.errors import PinError
from rotation.pins.source import Format, Source
from rotation.pins.tree import Branch, Entry, Leaf, Node

_Parser = Callable[[Source], tuple[Node, ...]]
_PARSERS: Final[Mapping[Format, _Parser]] = {
    Format.YAML: yaml_tree.parse,
    Format.JSON: json_tree.parse,
    Format.TOML: toml_tree.parse,
    Format.HCL: hcl_tree.parse,
    Format.DOTENV: dotenv_tree.parse,
}
_ACTION: Final = re.compile(r"\{\{[^{}]{0,1000}+\}\}|\{%[^{}%]{0,1000}+%\}|<%[^<>%]{0,1000}+%>")
_LINE: Final = re.compile(
    r"^[ \t]*+(?:\{\{[^{}]{0,1000}+\}\}|\{%[^{}%]{0,1000}+%\})[ \t\r]*+$", re.MULTILINE
)
_COMMENT: Final = re.compile(r"\{\{-?\s*+/\*(?:[^*{]|\*(?!/)|\{(?!\{)){0,500}+\*/\s*+-?\}\}")
_INK: Final = re.compile(r"\S")
_NO_LINE_END: Final = re.compile(r"[^\n]")


def documents(source: Source) -> tuple[Node, ...] | None:
    """Return the documents of a file; None when it is lines only.

    Raises:
        PinError: It is not what its name says, and no template of it.
    """
    parse = _PARSERS.get(source.format)
    if parse is None:
        return None
    is_template = _ACTION.search(source.text) is not None
    if is_template and source.format is Format.YAML:
        # First: to YAML, an action is a mapping in a mapping.
        found = _template(source, parse)
        if found is not None:
            return found
    try:
        return parse(source)
    except PinError:
        if not is_template:
            raise
    return _template(source, parse)


def _template(source: Source, parse: _Parser) -> tuple[Node, ...] | None:
    try:
        found = parse(Source(source.path, _without_actions(source.text)))
    except PinError:
        return None
    return tuple(_restored(source.text, node) for node in found)


def _without_actions(text: str) -> str:
    """Return a text of the same length that has blanks or words where the actions were."""
    for pattern in (_COMMENT, _LINE):
        text = pattern.sub(lambda found: _INK.sub(" ", found[0]), text)
    return _ACTION.sub(lambda found: _NO_LINE_END.sub("_", found[0]), text)


def _restored(text: str, node: Node) -> Node:
    if isinstance(node, Branch):
        entries = (Entry(key, _restored(text, inner), at) for key, inner, at in node.entries)
        return replace(node, entries=tuple(entries))
    return _original(text, node)


def _original(text: str, leaf: Leaf) -> Leaf:
    written = text[leaf.start : leaf.end]
    return replace(leaf, value=written) if _ACTION.search(written) else leaf
