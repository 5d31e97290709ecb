r"""Which characters show as what they are, and how the others are written.

A control character steers a terminal, a line separator ends a comment for one reader and not for
the next, a bidirectional control makes a text look like another one.

Rules of this module:
  1. Pure; it refuses nothing: `first_hidden` says what is there, its caller what that means.
  2. The escape is that of JSON, ``\u202e``: escaped JSON is still the same JSON.
"""

import re
from typing import Annotated, Final

#: The setting may have several lines, for example a query.  Any other text of a policy has one.
Lines = Annotated[str, "several lines"]

#: C0, DEL and C1; the separators of lines and paragraphs; everything that turns the direction.
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_LAYOUT: Final = frozenset("\t\n\r")
_LAST_OF_PLANE: Final = 0xFFFF


def first_hidden(text: str, *, lines: bool = False) -> str:
    """Return the first character that could make a text look like another one; empty: none.

    Args:
        text: What somebody wrote.
        lines: Tabs and ends of lines are allowed.
    """
    found = _HIDDEN.findall(text)
    return next((char for char in found if not (lines and char in _LAYOUT)), "")


def escaped(text: str) -> str:
    r"""Return ``text`` with ``\uXXXX`` for whatever does not show; its lines and tabs stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\t\n" else _escape(char) for char in text)


def one_line(text: str) -> str:
    r"""Return ``text`` on one line, with ``\uXXXX`` for whatever does not show."""
    return escaped(re.sub("[\t\r\n]", " ", text))


def _escape(char: str) -> str:
    code = ord(char)
    if code <= _LAST_OF_PLANE:
        return f"\\u{code:04x}"
    pair = char.encode("utf-16-be").hex()
    return f"\\u{pair[:4]}\\u{pair[4:]}"
