"""Puts what was rendered between the markers of the documents.

A marker is a line ``<!-- generated: NAME -->``; the part ends at ``<!-- end -->``.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from rotation.generate import layers, states

#: What can stand between markers.
PARTS: Mapping[str, Callable[[], str]] = {"layers": layers.draw, "states": states.draw}

#: Documents with markers, below the root of the repository.
DOCUMENTS = ("README.md", "rotation/README.md")

_MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(text: str) -> str:
    """Return the document with every marked part made anew.

    Raises:
        KeyError: A marker names no part.
    """
    return _MARKED.sub(lambda match: f"{match[1]}{PARTS[match[2]]()}\n{match[3]}", text)


def rendered(root: Path) -> dict[str, str]:
    """Return the documents as they should be, by path below ``root``."""
    return {name: render((root / name).read_text(encoding="utf-8")) for name in DOCUMENTS}
