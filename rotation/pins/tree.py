"""What every parsed format looks like: branches with keys, and leaves that know where they stand.

Rules of this module:
  1. A leaf's span is the text of the value as it stands in the file: without quotes, anchors, tags.
  2. Keys may repeat (blocks of HCL do).  A list is a branch whose keys are its indexes.
  3. Nothing is expanded: an alias of a collection is a leaf, so a small file stays a small tree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, cast

from rotation.pins.errors import UNREADABLE, PinError

#: Nobody nests configuration deeper; what does is hostile.
MAX_DEPTH: Final = 100

Key = str | int
Path = tuple[Key, ...]
_Table = dict[Key, Any]


class Style(Enum):
    """How a value is written."""

    PLAIN = "plain"
    QUOTED = "quoted"
    #: Several lines that are a text of their own: YAML's ``|`` and ``>``, heredocs.
    BLOCK = "block"
    #: An expression or an alias: compared as text, never changed as a whole.
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value."""

    value: str
    start: int
    end: int
    style: Style


class Entry(NamedTuple):
    """A key and what it has; ``at`` is where the key (or list item) begins."""

    key: Key
    node: "Node"
    at: int


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping, list, table or block."""

    entries: tuple[Entry, ...]
    is_list: bool = False
    #: Written between brackets: entries are separated by commas.
    is_flow: bool = False
    #: What aliases call it.
    anchor: str = ""

    def all(self, key: Key) -> list["Node"]:
        """Return everything under a key; items of a list one by one."""
        found: list[Node] = []
        for entry in self.entries:
            if entry.key == key:
                node = entry.node
                is_list = isinstance(node, Branch) and node.is_list
                found.extend(items(node) if is_list else [node])
        return found

    def branches(self, *keys: Key) -> list["Branch"]:
        """Return the branches under any of the keys."""
        return [node for key in keys for node in self.all(key) if isinstance(node, Branch)]

    def leaf(self, *keys: Key) -> Leaf | None:
        """Return the first value under one of the keys, the earlier key first."""
        for key in keys:
            for node in self.all(key):
                if isinstance(node, Leaf):
                    return node
        return None

    def text(self, key: Key) -> str:
        """Return a value; empty when there is none."""
        leaf = self.leaf(key)
        return leaf.value if leaf else ""


Node = Branch | Leaf


def items(node: "Node") -> list["Node"]:
    """Return the nodes right below a branch."""
    return [entry.node for entry in node.entries] if isinstance(node, Branch) else []


def leaves(root: Node, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Walk all values in the order of the file."""
    waiting: list[tuple[Path, Node]] = [(path, root)]
    while waiting:
        here, node = waiting.pop()
        if isinstance(node, Leaf):
            yield here, node
        else:
            waiting.extend(((*here, entry.key), entry.node) for entry in reversed(node.entries))


def walk(root: Node) -> Iterator[Entry]:
    """Walk all entries, top down."""
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Branch):
            yield from node.entries
            waiting.extend(entry.node for entry in reversed(node.entries))


def grow(pairs: Iterable[tuple[Path, Leaf]]) -> Branch:
    """Make a tree of values and their paths; the first value of a path wins."""
    top: _Table = {}
    for path, leaf in pairs:
        table = top
        for key in path[:-1]:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                break
            table = inner
        else:
            table.setdefault(path[-1], leaf)
    return _frozen(top)


def _frozen(table: _Table) -> Branch:
    entries = []
    for key, value in table.items():
        node = value if isinstance(value, Leaf) else _frozen(cast("_Table", value))
        entries.append(Entry(key, node, _begin(node)))
    return Branch(
        tuple(entries), is_list=bool(table) and all(isinstance(key, int) for key in table)
    )


def _begin(node: Node) -> int:
    while isinstance(node, Branch):
        node = node.entries[0].node
    return node.start


def too_deep(path: str) -> PinError:
    """Return the error for hostile nesting."""
    return PinError(
        f"{path} is nested deeper than {MAX_DEPTH} levels",
        remedy="pin the version in another file",
        reason=UNREADABLE,
    )
