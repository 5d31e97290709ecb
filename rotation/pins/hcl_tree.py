"""Parses HCL (Terraform, tfvars) into a tree with offsets.

Rules of this module:
  1. Only the structure is understood: attributes, blocks, lists, objects, strings and numbers.
     Any other expression is an opaque leaf, compared as text.
  2. A block is an entry under its type and then its labels; blocks of one type repeat the key.
  3. A parser made from a grammar builds its tables for seconds, and keeps them in a file beside
     itself, which a function cannot write.  This one has none; the tests compare the two.
"""

import re
from typing import Final

from rotation.pins.cursor import Cursor
from rotation.pins.errors import PinError
from rotation.pins.source import Source
from rotation.pins.tree import Branch, Entry, Leaf, Node, Style

_COMMENT: Final = r"#[^\n]*+|//[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
_BLANK: Final = re.compile(rf"(?:[ \t\r\n]++|{_COMMENT})*+")
_SPACE: Final = re.compile(r"(?:[ \t\r]++|/\*(?:[^*\n]|\*(?!/))*+\*/)*+")
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*+")
_NUMBER: Final = re.compile(r"-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?(?![\w.])")
_HEREDOC: Final = re.compile(r"<<-?([A-Za-z_][\w-]*+)[ \t\r]*+\n")
_PLAIN: Final = re.compile(r"[^\"\\$%]++")
#: Nothing in it can end an expression or open something inside of it.
_DULL: Final = re.compile(r"[^\"<#/(){}\[\],\n]++")
_ENDS: Final = ("\n", ",", "]", "}", ")", "#", "//")


def parse(source: Source) -> tuple[Node, ...]:
    """Parse one file.

    Raises:
        PinError: It is not valid HCL.
    """
    cursor = Cursor(source)
    body = _body(cursor)
    if not cursor.is_done:
        raise cursor.fault("an unexpected '}'")
    return (body,)


def _body(cursor: Cursor) -> Branch:
    entries: list[Entry] = []
    while True:
        cursor.match(_BLANK)
        at = cursor.at
        name = cursor.match(_NAME)
        if not name:
            if cursor.is_done or cursor.sees("}"):
                return Branch(tuple(entries))
            raise cursor.fault("a name is missing")
        cursor.match(_SPACE)
        if cursor.take("="):
            cursor.match(_SPACE)
            entries.append(Entry(name[0], _expression(cursor), at))
        else:
            entries.append(Entry(name[0], _block(cursor), at))


def _block(cursor: Cursor) -> Branch:
    """Parse what follows a block's type: labels, and the body."""
    with cursor.nested():
        at = cursor.at
        if cursor.take("{"):
            body = _body(cursor)
            cursor.expect("}")
            return body
        label = cursor.match(_NAME)
        key = label[0] if label else _string(cursor).value
        cursor.match(_SPACE)
        return Branch((Entry(key, _block(cursor), at),))


def _expression(cursor: Cursor) -> Node:
    start = cursor.at
    with cursor.nested():
        try:
            node = _literal(cursor)
        except PinError:
            node = None
        cursor.match(_SPACE)
        if node is not None and (cursor.is_done or cursor.sees(*_ENDS)):
            return node
        cursor.at = start
        return _opaque(cursor)


def _literal(cursor: Cursor) -> Node | None:
    start = cursor.at
    if cursor.sees('"'):
        return _string(cursor)
    if cursor.take("["):
        return _list(cursor)
    if cursor.take("{"):
        return _object(cursor)
    if found := cursor.match(_NUMBER):
        return Leaf(found[0], start, cursor.at, Style.PLAIN)
    if cursor.sees("<<"):
        return _heredoc(cursor)
    return None


def _string(cursor: Cursor) -> Leaf:
    start = cursor.at
    cursor.expect('"')
    while not cursor.take('"'):
        if cursor.is_done or cursor.sees("\n"):
            raise cursor.fault("a string has no end")
        if cursor.take("$${") or cursor.take("%%{"):
            continue
        if cursor.take("${") or cursor.take("%{"):
            _skip_to(cursor, "}")
        elif cursor.take("\\") or not cursor.match(_PLAIN):
            cursor.at += 1
    inner = cursor.text[start + 1 : cursor.at - 1]
    if "\n" in inner and "${" not in inner and "%{" not in inner:
        raise cursor.fault("a string has no end")
    return Leaf(inner, start + 1, cursor.at - 1, Style.QUOTED)


def _heredoc(cursor: Cursor) -> Leaf:
    opening = cursor.match(_HEREDOC)
    if not opening:
        raise cursor.fault("a heredoc has no name")
    start = cursor.at
    closing = re.compile(rf"^[ \t]*+{re.escape(opening[1])}[ \t\r]*+$", re.MULTILINE)
    found = closing.search(cursor.text, start)
    if not found:
        raise cursor.fault(f"the heredoc {opening[1][:60]} has no end")
    cursor.at = found.end()
    return Leaf(cursor.text[start : found.start()], start, found.start(), Style.BLOCK)


def _list(cursor: Cursor) -> Branch:
    entries: list[Entry] = []
    while True:
        cursor.match(_BLANK)
        if cursor.take("]"):
            return Branch(tuple(entries), is_list=True, is_flow=True)
        entries.append(Entry(len(entries), _expression(cursor), cursor.at))
        cursor.match(_BLANK)
        if not cursor.take(",") and not cursor.sees("]"):
            raise cursor.fault("a comma is missing")


def _object(cursor: Cursor) -> Branch:
    entries: list[Entry] = []
    while True:
        cursor.match(_BLANK)
        if cursor.take("}"):
            return Branch(tuple(entries), is_flow=True)
        at = cursor.at
        name = cursor.match(_NAME)
        key = name[0] if name else _string(cursor).value
        cursor.match(_SPACE)
        if not cursor.take("=") and not cursor.take(":"):
            raise cursor.fault("a value is missing")
        cursor.match(_BLANK)
        entries.append(Entry(key, _expression(cursor), at))
        cursor.match(_SPACE)
        cursor.take(",")


def _opaque(cursor: Cursor) -> Leaf:
    start = cursor.at
    _skip_to(cursor, "")
    text = cursor.text[start : cursor.at].rstrip()
    if not text:
        raise cursor.fault("a value is missing")
    cursor.at = start + len(text)
    return Leaf(text, start, cursor.at, Style.OPAQUE)


def _skip_to(cursor: Cursor, closing: str) -> None:
    """Step over an expression, behind ``closing``; without one, up to what ends a value."""
    closers = {"(": ")", "[": "]", "{": "}"}
    with cursor.nested():
        while not (closing and cursor.take(closing)):
            if not closing and (cursor.is_done or cursor.sees(*_ENDS)):
                return
            if cursor.is_done:
                raise cursor.fault(f"{closing!r} is missing")
            _step(cursor, closers)


def _step(cursor: Cursor, closers: dict[str, str]) -> None:
    cursor.spend()
    if cursor.match(_DULL):
        return
    if cursor.sees('"'):
        _string(cursor)
    elif cursor.sees("<<") and _HEREDOC.match(cursor.text, cursor.at):
        _heredoc(cursor)
    elif cursor.sees("/*", "#", "//"):
        before = cursor.at
        cursor.match(_BLANK)
        cursor.at = max(cursor.at, before + 1)
    elif closer := closers.get(cursor.text[cursor.at]):
        cursor.at += 1
        _skip_to(cursor, closer)
    else:
        cursor.at += 1
