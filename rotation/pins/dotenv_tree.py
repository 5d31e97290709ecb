"""Reads ``NAME=value`` lines, with ``export``, quotes and comments; other lines are left."""

import re
from typing import Final

from rotation.pins.source import Source
from rotation.pins.tree import Branch, Entry, Leaf, Node, Style

_LINE: Final = re.compile(
    r"[ \t]*+(?:export[ \t]++)?(?P<key>[A-Za-z_][\w.-]*+)[ \t]*+=[ \t]*+"
    r"(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<plain>[^\n]*+))"
)
_COMMENT: Final = re.compile(r"[ \t]#|\s*$")


def parse(source: Source) -> tuple[Node, ...]:
    """Read all lines that set a variable."""
    entries = []
    for number in range(1, len(source.line_starts) + 1):
        begin, end = source.line_span(number)
        found = _LINE.match(source.text, begin, end)
        if found:
            entries.append(Entry(found["key"], _leaf(found), found.start("key")))
    return (Branch(tuple(entries)),)


def _leaf(found: re.Match[str]) -> Leaf:
    for group in ("double", "single"):
        if found[group] is not None:
            return Leaf(found[group], *found.span(group), Style.QUOTED)
    plain = found["plain"]
    comment = _COMMENT.search(plain)
    kept = plain[: comment.start()].rstrip() if comment else plain
    if plain.startswith("#"):
        kept = ""
    start = found.start("plain")
    return Leaf(kept, start, start + len(kept), Style.PLAIN)
