"""Parses YAML, one or several documents, into trees with offsets.

Rules of this module:
  1. The library's events are read one by one and nothing is constructed: no tags are carried out,
     no aliases expanded, nothing recurses.
  2. An alias of a (short) value is that value, at the place of its anchor; an alias of a
     collection is an opaque leaf.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from rotation.pins.errors import UNREADABLE, PinError
from rotation.pins.source import Source
from rotation.pins.tree import MAX_DEPTH, Branch, Entry, Key, Leaf, Node, Style, too_deep

_PROPERTIES: Final = re.compile(r"(?:[&!]\S*+\s++)*+")
_STYLES: Final = {"'": Style.QUOTED, '"': Style.QUOTED, "|": Style.BLOCK, ">": Style.BLOCK}
#: Longer values are not read again at each alias, however many there are.
_LONGEST_ALIASED: Final = 256
#: The key of an entry whose key is a collection.
_COMPLEX: Final = "?"


@dataclass
class _Open:
    """A collection whose end has not come yet."""

    is_list: bool
    is_flow: bool
    anchor: str | None
    at: int
    entries: list[Entry] = field(default_factory=list)
    key: tuple[Key, int] | None = None

    def add(self, node: Node, at: int) -> None:
        if self.is_list:
            self.entries.append(Entry(len(self.entries), node, at))
        elif self.key is None:
            self.key = (node.value if isinstance(node, Leaf) else _COMPLEX, at)
        else:
            self.entries.append(Entry(self.key[0], node, self.key[1]))
            self.key = None

    def close(self) -> Branch:
        return Branch(tuple(self.entries), self.is_list, self.is_flow, self.anchor or "")


def parse(source: Source) -> tuple[Node, ...]:
    """Parse all documents.

    Raises:
        PinError: It is not valid YAML.
    """
    import yaml  # noqa: PLC0415 - the function starts without it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = source.text[source.starts :]
    try:
        # A byte-order mark counts as no character in the library.
        return tuple(_documents(yaml.parse(text, Loader=loader), source))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f"{source.path}:{mark.line + 1}" if mark else source.path
        problem = getattr(error, "problem", "") or "characters that no text file has"
        raise PinError(
            f"{where} is not valid YAML: {problem}", remedy="mend the file", reason=UNREADABLE
        ) from None


def _documents(events: Iterator[Any], source: Source) -> Iterator[Node]:
    import yaml  # noqa: PLC0415

    opened: list[_Open] = []
    anchors: dict[str, Node] = {}
    for event in events:
        at = event.start_mark.index + source.starts
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
            continue
        if isinstance(event, yaml.CollectionStartEvent):
            is_list = isinstance(event, yaml.SequenceStartEvent)
            opened.append(_Open(is_list, bool(event.flow_style), event.anchor, at))
            if len(opened) > MAX_DEPTH:
                raise too_deep(source.path)
            continue
        node = _finished(event, source, opened, anchors)
        if node is None:
            continue
        at = opened.pop().at if isinstance(event, yaml.CollectionEndEvent) else at
        if opened:
            opened[-1].add(node, at)
        else:
            yield node


def _finished(
    event: Any,  # noqa: ANN401 - an event of the library
    source: Source,
    opened: list[_Open],
    anchors: dict[str, Node],
) -> Node | None:
    """Return the node that an event ends; None when it ends none."""
    import yaml  # noqa: PLC0415

    start, end = (mark.index + source.starts for mark in (event.start_mark, event.end_mark))
    if isinstance(event, yaml.AliasEvent):
        target = anchors.get(str(event.anchor))
        alias = Leaf(f"*{event.anchor}", start, end, Style.OPAQUE)
        is_short = isinstance(target, Leaf) and target.end - target.start <= _LONGEST_ALIASED
        return target if target is not None and is_short else alias
    if isinstance(event, yaml.ScalarEvent):
        leaf = _leaf(event, source.text, start, end)
        if event.anchor:
            anchors[event.anchor] = leaf
        return leaf
    if isinstance(event, yaml.CollectionEndEvent):
        branch = opened[-1].close()
        if opened[-1].anchor:
            anchors[str(opened[-1].anchor)] = branch
        return branch
    return None


def _leaf(event: Any, text: str, start: int, end: int) -> Leaf:  # noqa: ANN401 - see above
    style = _STYLES.get(event.style, Style.PLAIN)
    properties = _PROPERTIES.match(text, start, end)
    start = properties.end() if properties and (event.anchor or event.tag) else start
    if style is Style.QUOTED:
        start, end = start + 1, end - 1
    elif style is Style.BLOCK:
        newline = text.find("\n", start, end)
        start = newline + 1 if newline >= 0 else end
    return Leaf(event.value, start, max(start, end), style)
