"""Parses JSON, with comments and trailing commas allowed, into a tree with offsets."""

import json
import re
from typing import Final

from rotation.pins.cursor import Cursor
from rotation.pins.source import Source
from rotation.pins.tree import Branch, Entry, Leaf, Node, Style

_SPACE: Final = re.compile(r"(?:[ \t\r\n]++|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/)*+")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+"')
_WORD: Final = re.compile(r"-?[0-9][0-9.eE+-]*+|true|false|null")


def parse(source: Source) -> tuple[Node, ...]:
    """Parse one document.

    Raises:
        PinError: It is not valid JSON.
    """
    cursor = Cursor(source)
    node = _value(cursor)
    cursor.match(_SPACE)
    if not cursor.is_done:
        raise cursor.fault("something follows the document")
    return (node,)


def _value(cursor: Cursor) -> Node:
    cursor.match(_SPACE)
    with cursor.nested():
        if cursor.take("{"):
            return _branch(cursor, "}")
        if cursor.take("["):
            return _branch(cursor, "]")
        return _leaf(cursor)


def _leaf(cursor: Cursor) -> Leaf:
    start = cursor.at
    if cursor.match(_STRING):
        return Leaf(_unescaped(cursor, start), start + 1, cursor.at - 1, Style.QUOTED)
    if word := cursor.match(_WORD):
        return Leaf(word[0], start, cursor.at, Style.PLAIN)
    raise cursor.fault("a value is missing")


def _unescaped(cursor: Cursor, start: int) -> str:
    try:
        return str(json.loads(cursor.text[start : cursor.at]))
    except ValueError:
        raise cursor.fault("an unknown escape") from None


def _branch(cursor: Cursor, closing: str) -> Branch:
    entries: list[Entry] = []
    while True:
        cursor.match(_SPACE)
        if cursor.take(closing):
            return Branch(tuple(entries), is_list=closing == "]", is_flow=True)
        at = cursor.at
        key: str | int = len(entries)
        if closing == "}":
            key = _key(cursor)
        entries.append(Entry(key, _value(cursor), at))
        cursor.match(_SPACE)
        if not cursor.take(",") and not cursor.sees(closing):
            raise cursor.fault("a comma is missing")


def _key(cursor: Cursor) -> str:
    start = cursor.at
    if not cursor.match(_STRING):
        raise cursor.fault("a key is missing")
    key = _unescaped(cursor, start)
    cursor.match(_SPACE)
    cursor.expect(":")
    return key
