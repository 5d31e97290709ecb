"""Parses TOML into a tree with offsets; the standard library must agree that it is TOML."""

import re
import tomllib
from collections.abc import Iterator
from typing import Final

from rotation.pins.cursor import Cursor
from rotation.pins.source import Source
from rotation.pins.tree import MAX_DEPTH, Leaf, Node, Path, Style, grow, too_deep

_SPACE: Final = re.compile(r"[ \t]*+")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_KEY: Final = re.compile(r"\"((?:[^\"\\\n]|\\.)*+)\"|'([^'\n]*+)'|([A-Za-z0-9_-]++)")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_+.:-]++(?: [0-9][0-9:.Z+-]*+)?")
_STRINGS: Final = (
    re.compile(r'"""((?:[^"\\]|\\.|""?+(?!"))*+"{0,2})"""', re.DOTALL),
    re.compile(r"'''((?:[^']|''?+(?!'))*+'{0,2})'''"),
    re.compile(r'"((?:[^"\\\n]|\\.)*+)"'),
    re.compile(r"'([^'\n]*+)'"),
)
Pair = tuple[Path, Leaf]


def parse(source: Source) -> tuple[Node, ...]:
    """Parse one document.

    Raises:
        PinError: It is not valid TOML.
    """
    cursor = Cursor(source)
    pairs = list(_lines(cursor))
    try:
        tomllib.loads(source.text[source.starts :].replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        cursor.at = source.starts
        raise cursor.fault(str(error) or "nested too deep") from None
    return (grow(pairs),)


def _lines(cursor: Cursor) -> Iterator[Pair]:
    table: Path = ()
    counts: dict[Path, int] = {}
    while True:
        cursor.match(_BLANK)
        if cursor.is_done:
            return
        if cursor.sees("["):
            table = _header(cursor, counts)
        else:
            yield from _pair(cursor, table)


def _header(cursor: Cursor, counts: dict[Path, int]) -> Path:
    is_array = cursor.take("[[")
    if not is_array:
        cursor.expect("[")
    keys = _keys(cursor)
    cursor.expect("]]" if is_array else "]")
    if is_array:
        parent = _resolved(keys[:-1], counts)
        array = (*parent, keys[-1])
        counts[array] = counts.get(array, -1) + 1
    return _resolved(keys, counts)


def _resolved(keys: Path, counts: dict[Path, int]) -> Path:
    """Point into the last table of each array on the way."""
    path: Path = ()
    for key in keys:
        path = (*path, key)
        if path in counts:
            path = (*path, counts[path])
    return path


def _keys(cursor: Cursor) -> Path:
    keys: list[str] = []
    while True:
        cursor.match(_SPACE)
        found = cursor.match(_KEY)
        if not found:
            raise cursor.fault("a key is missing")
        if len(keys) >= MAX_DEPTH:
            raise too_deep(cursor.source.path)
        keys.append(next(group for group in found.groups() if group is not None))
        cursor.match(_SPACE)
        if not cursor.take("."):
            return tuple(keys)


def _pair(cursor: Cursor, table: Path) -> Iterator[Pair]:
    keys = _keys(cursor)
    cursor.expect("=")
    yield from _value(cursor, (*table, *keys))


def _value(cursor: Cursor, path: Path) -> Iterator[Pair]:
    cursor.match(_SPACE)
    start = cursor.at
    for pattern in _STRINGS:
        if found := cursor.match(pattern):
            is_block = cursor.text.startswith(("'''", '"""'), start)
            style = Style.BLOCK if is_block else Style.QUOTED
            yield path, Leaf(found[1], *found.span(1), style)
            return
    with cursor.nested():
        if cursor.take("["):
            yield from _array(cursor, path)
        elif cursor.take("{"):
            yield from _inline(cursor, path)
        elif found := cursor.match(_PLAIN):
            yield path, Leaf(found[0], *found.span(), Style.PLAIN)
        else:
            raise cursor.fault("a value is missing")


def _array(cursor: Cursor, path: Path) -> Iterator[Pair]:
    index = 0
    while True:
        cursor.match(_BLANK)
        if cursor.take("]"):
            return
        yield from _value(cursor, (*path, index))
        index += 1
        cursor.match(_BLANK)
        if not cursor.take(",") and not cursor.sees("]"):
            raise cursor.fault("a comma is missing")


def _inline(cursor: Cursor, path: Path) -> Iterator[Pair]:
    while True:
        cursor.match(_BLANK)
        if cursor.take("}"):
            return
        yield from _pair(cursor, path)
        cursor.match(_BLANK)
        if not cursor.take(",") and not cursor.sees("}"):
            raise cursor.fault("a comma is missing")
