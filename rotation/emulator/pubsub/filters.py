"""Decide which messages a subscription's filter lets through.

It never sees a message's data: the service filters on attributes only
(https://cloud.google.com/pubsub/docs/subscription-message-filter).

1. The grammar::

       filter    = operand { "AND" operand } | operand { "OR" operand }
       operand   = ( "NOT" | "-" ) operand | "(" filter ")" | condition
       condition = "attributes" ":" key
                 | "attributes" "." key ( "=" | "!=" ) string
                 | "hasPrefix" "(" "attributes" "." key "," string ")"

2. Operators are upper-case; AND and OR mix only with parentheses.
3. ``!=`` is the negation of ``=``, so a message without the key passes.
4. At most 256 bytes; an empty filter lets everything through.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NoReturn

from rotation.emulator.status import invalid

#: Says whether a message with these attributes is delivered.
Predicate = Callable[[Mapping[str, str]], bool]

LONGEST_FILTER: Final = 256

_TOKEN: Final = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[A-Za-z0-9_][A-Za-z0-9_-]*)'
    r"|(?P<sign>!=|[=:.,()-]))"
)
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([0-7]{3})|(.))", re.DOTALL)
_SHORT_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "'": "'"}


def compile_filter(text: str) -> Predicate:
    """Return the filter's predicate; INVALID_ARGUMENT when the text is no filter."""
    if not text.strip():
        return lambda _attributes: True
    if len(text.encode()) > LONGEST_FILTER:
        raise invalid(f"The filter is too long: at most {LONGEST_FILTER} bytes.")
    parser = _Parser(text)
    predicate = parser.filter()
    parser.expect_end()
    return predicate


class _Parser:
    """Recursive descent over the tokens; the length limit bounds the depth."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._at = 0

    def filter(self) -> Predicate:
        first = self._operand()
        operator = self._peek()
        if operator not in {"AND", "OR"}:
            return first
        operands = [first]
        while self._accept(operator):
            operands.append(self._operand())
        decide = all if operator == "AND" else any
        return lambda attributes: decide(operand(attributes) for operand in operands)

    def expect_end(self) -> None:
        if self._peek():
            self._refuse()

    def _operand(self) -> Predicate:
        if self._accept("NOT") or self._accept("-"):
            inner = self._operand()
            return lambda attributes: not inner(attributes)
        if self._accept("("):
            grouped = self.filter()
            self._expect(")")
            return grouped
        if self._accept("hasPrefix"):
            return self._prefix()
        return self._condition()

    def _prefix(self) -> Predicate:
        self._expect("(")
        self._expect("attributes")
        self._expect(".")
        key = self._key()
        self._expect(",")
        prefix = self._string()
        self._expect(")")
        return lambda attributes: key in attributes and attributes[key].startswith(prefix)

    def _condition(self) -> Predicate:
        self._expect("attributes")
        if self._accept(":"):
            present = self._key()
            return lambda attributes: present in attributes
        self._expect(".")
        key = self._key()
        if self._accept("!="):
            other = self._string()
            return lambda attributes: attributes.get(key) != other
        self._expect("=")
        value = self._string()
        return lambda attributes: attributes.get(key) == value

    def _key(self) -> str:
        if self._peek().startswith('"'):
            return self._string()
        if not re.fullmatch(r"[\w-]+", self._peek(), re.ASCII):
            self._refuse()
        return self._next()

    def _string(self) -> str:
        if not self._peek().startswith('"'):
            self._refuse()
        return _ESCAPE.sub(self._unescape, self._next()[1:-1])

    def _unescape(self, match: re.Match[str]) -> str:
        hexadecimal, unicode, octal, short = match.groups()
        if short is None:
            return chr(int(octal, 8) if octal else int(hexadecimal or unicode, 16))
        if short not in _SHORT_ESCAPES:
            self._refuse()
        return _SHORT_ESCAPES[short]

    def _scan(self) -> Iterator[str]:
        at, text = 0, self._text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                self._refuse()
            yield match[0].strip()
            at = match.end()

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            self._refuse()

    def _refuse(self) -> NoReturn:
        raise invalid(f"The filter is not valid: {self._text}")
