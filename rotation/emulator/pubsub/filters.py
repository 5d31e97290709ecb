"""Decide which messages a subscription's filter lets through.

It never sees a message's data: the service filters on attributes only
(https://cloud.google.com/pubsub/docs/subscription-message-filter).

1. Operators are upper-case; AND and OR mix only with parentheses.
2. ``!=`` is the negation of ``=``, so a message without the key passes.
3. At most 256 bytes; an empty filter lets everything through.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError

from rotation.emulator.status import invalid

#: Says whether a message with these attributes is delivered.
Predicate = Callable[[Mapping[str, str]], bool]

LONGEST_FILTER: Final = 256

_GRAMMAR: Final = r"""
?start: operand | operand (_AND operand)+ -> every | operand (_OR operand)+ -> some
?operand: (_NOT | "-") operand -> negation
    | "(" start ")"
    | "attributes" ":" key -> present
    | "attributes" "." key "=" text -> equal
    | "attributes" "." key "!=" text -> different
    | "hasPrefix" "(" "attributes" "." key "," text ")" -> prefix
?key: WORD | text
text: STRING
_AND: /AND(?![a-zA-Z0-9_-])/
_OR: /OR(?![a-zA-Z0-9_-])/
_NOT: /NOT(?![a-zA-Z0-9_-])/
WORD: /[a-zA-Z0-9_][a-zA-Z0-9_-]*/
STRING: /"(?:[^"\\]|\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{3}|[nrt"'\\]))*"/
%ignore /\s+/
"""
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([0-7]{3})|(.))", re.DOTALL)
_SHORT_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def compile_filter(text: str) -> Predicate:
    """Return the filter's predicate; INVALID_ARGUMENT when the text is not a filter."""
    if not text.strip():
        return lambda _attributes: True
    if len(text.encode()) > LONGEST_FILTER:
        raise invalid(f"The filter is too long: at most {LONGEST_FILTER} bytes.")
    try:
        return cast("Predicate", _parser().parse(text))
    except LarkError:
        raise invalid(f"The filter is not valid: {text}") from None


@cache
def _parser() -> Lark:
    # Predicates are made while it is read: no tree, so no depth of its own to fear.
    return Lark(_GRAMMAR, parser="lalr", transformer=_Predicates())


@v_args(inline=True)
class _Predicates(Transformer[Token, Predicate]):
    """What each rule of the grammar lets through."""

    def every(self, *operands: Predicate) -> Predicate:
        return lambda attributes: all(operand(attributes) for operand in operands)

    def some(self, *operands: Predicate) -> Predicate:
        return lambda attributes: any(operand(attributes) for operand in operands)

    def negation(self, operand: Predicate) -> Predicate:
        return lambda attributes: not operand(attributes)

    def present(self, key: str) -> Predicate:
        return lambda attributes: key in attributes

    def equal(self, key: str, value: str) -> Predicate:
        return lambda attributes: attributes.get(key) == value

    def different(self, key: str, value: str) -> Predicate:
        return lambda attributes: attributes.get(key) != value

    def prefix(self, key: str, start: str) -> Predicate:
        return lambda attributes: key in attributes and attributes[key].startswith(start)

    def text(self, quoted: str) -> str:
        return _ESCAPE.sub(_unescape, quoted[1:-1])


def _unescape(match: re.Match[str]) -> str:
    hexadecimal, unicode, octal, short = match.groups()
    if short is None:
        return chr(int(octal, 8) if octal else int(hexadecimal or unicode, 16))
    return _SHORT_ESCAPES.get(short, short)
