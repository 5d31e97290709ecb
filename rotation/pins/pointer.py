"""Pointers: where in a parsed file a value stands.

::

    spec.template.spec.containers[name=app].env[name=DB].valueFrom.secretKeyRef.key
    secrets."projects/acme/secrets/orders"
    [kind=Service].spec.replicas          one of several documents

Rules of this module:
  1. Keys are separated by dots; a key with other characters stands in double quotes.
  2. Behind a key, ``[3]`` picks an item, ``[name=app]`` the items whose ``name`` is ``app``, and
     ``[*]`` all items.  Blocks of HCL that repeat are picked from in the same way.
  3. In front of the first key such a choice picks among the documents of the file (among the
     items, when its only document is a list).
  4. Only ``[*]`` may lead to several places; anything else that does is ambiguous.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rotation.pins.errors import AMBIGUOUS, NOT_FOUND, PinError, quoted
from rotation.pins.source import Source
from rotation.pins.tree import Branch, Leaf, Node, items

_STEP: Final = re.compile(
    r"\[(?:(?P<all>\*)|(?P<index>[0-9]{1,6}+)|(?P<where>[^\[\]=\"]{1,200}+)=(?P<value>[^\[\]]{0,400}+))\]"
    r"|\.?(?:(?P<key>[^\s.\[\]\"]{1,400}+)|\"(?P<quoted>[^\"]{1,800}+)\")"
)


@dataclass(frozen=True)
class _Step:
    key: str | None = None
    index: int | None = None
    where: str = ""
    value: str = ""

    @property
    def is_all(self) -> bool:
        return self.key is None and self.index is None and not self.where


def check(pointer: str) -> None:
    """Make sure that a pointer can be read.

    Raises:
        PinError: It cannot.
    """
    _steps(pointer)


def resolve(source: Source, documents: Sequence[Node], pointer: str) -> tuple[Leaf, ...]:
    """Return the values that a pointer leads to.

    Raises:
        PinError: It leads nowhere, or to several places without ``[*]``.
    """
    steps = _steps(pointer)
    nodes = [node for node in _follow(documents, steps) if isinstance(node, Leaf)]
    if not nodes:
        raise PinError(
            f"{source.path} has no value at {quoted(pointer)}",
            remedy="mend the pointer, or the file",
            reason=NOT_FOUND,
        )
    if len(nodes) > 1 and not any(step.is_all for step in steps):
        lines = ", ".join(str(source.line_number(leaf.start)) for leaf in nodes[:5])
        raise PinError(
            f"{source.path} has several values at {quoted(pointer)}: lines {lines}",
            remedy="pick one with [NAME=VALUE], or all with [*]",
            reason=AMBIGUOUS,
        )
    return tuple(nodes)


def _steps(pointer: str) -> tuple[_Step, ...]:
    rest = pointer.removeprefix("$").removeprefix(".")
    steps = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or (at > 0 and rest[at] not in ".["):
            break
        key = found["key"] or found["quoted"]
        index = int(found["index"]) if found["index"] else None
        steps.append(_Step(key, index, found["where"] or "", _unquoted(found["value"] or "")))
        at = found.end()
    if at < len(rest) or not rest:
        raise PinError(
            f"the pointer {quoted(pointer)} cannot be read behind {quoted(rest[:at])}",
            remedy='write it like a.b[name=x].c, with "..." around keys that hold dots',
            reason=NOT_FOUND,
        )
    return tuple(steps)


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if is_quoted else value


def _follow(documents: Sequence[Node], steps: Sequence[_Step]) -> list[Node]:
    group = list(documents)
    for step in steps:
        group = _below(group, step.key) if step.key is not None else _chosen(group, step)
    return group


def _below(group: Sequence[Node], key: str) -> list[Node]:
    return [
        entry.node
        for node in group
        if isinstance(node, Branch) and not node.is_list
        for entry in node.entries
        if entry.key == key
    ]


def _chosen(group: Sequence[Node], step: _Step) -> list[Node]:
    lists = [node for node in group if isinstance(node, Branch) and node.is_list]
    is_lists = bool(lists) and len(lists) == len(group)
    pools = [items(branch) for branch in lists] if is_lists else [list(group)]
    if step.index is not None:
        return [pool[step.index] for pool in pools if step.index < len(pool)]
    return [node for pool in pools for node in pool if step.is_all or _has(node, step)]


def _has(node: Node, step: _Step) -> bool:
    at: Node | None = node
    for key in step.where.split("."):
        inner = _below([at], key) if at else []
        at = inner[0] if inner else None
    return isinstance(at, Leaf) and at.value == step.value
