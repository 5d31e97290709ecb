"""Parses a file by the format its name tells.

A file that is a template of its format (Helm, Jinja, envsubst) is lines only: no parser reads it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from rotation.pins import dotenv_tree, hcl_tree, json_tree, toml_tree, yaml_tree
from rotation.pins.errors import PinError
from rotation.pins.source import Format, Source
from rotation.pins.tree import Node

_PARSERS: Final[Mapping[Format, Callable[[Source], tuple[Node, ...]]]] = {
    Format.YAML: yaml_tree.parse,
    Format.JSON: json_tree.parse,
    Format.TOML: toml_tree.parse,
    Format.HCL: hcl_tree.parse,
    Format.DOTENV: dotenv_tree.parse,
}
_TEMPLATE: Final = re.compile(r"\{\{|\{%|<%")


def documents(source: Source) -> tuple[Node, ...] | None:
    """Return the documents of a file; None when it is lines only.

    Raises:
        PinError: It is not what its name says, and no template of it.
    """
    parse = _PARSERS.get(source.format)
    if parse is None:
        return None
    try:
        return parse(source)
    except PinError:
        if _TEMPLATE.search(source.text):
            return None
        raise
