"""The filter of a list request.

It reads a filter once and answers whether a resource passes; it knows nothing of requests.

1. The language is a part of https://google.aip.dev/160: ``field:text`` (contains; ``*`` means
   present), ``= != < <= > >=``, AND, OR, NOT, ``-``, parentheses.  OR binds tighter than AND; terms
   side by side are ANDed.
2. ``~`` is gcloud's own and refused, like everything that cannot be read.
3. ``name`` means the last part of the name.
4. At most 50 levels of parentheses and negations: a filter is as long as its sender likes.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf import json_format
from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError

from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.status import invalid

_Fields = Mapping[str, Any]

_GRAMMAR: Final = r"""
?start: disjunction | disjunction (_AND? disjunction)+ -> conjunction
?disjunction: term | term (_OR term)+ -> alternative
?term: (_NOT | "-") term -> negation
    | "(" start ")" -> group
    | text RELATION text -> restriction
text: WORD | QUOTED
_AND.2: /AND(?![^\s()"':=<>!~])/
_OR.2: /OR(?![^\s()"':=<>!~])/
_NOT.2: /NOT(?![^\s()"':=<>!~])/
RELATION: /!=|<=|>=|[:=<>]/
WORD: /(?!(?:AND|OR|NOT)(?![^\s()"':=<>!~]))[^\s()"':=<>!~-][^\s()"':=<>!~]*/
QUOTED: /"[^"]*"/
%ignore /\s+/
"""
_RELATIONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    ":": lambda value, operand: operand == "*" or operand.lower() in value.lower(),
    "=": lambda value, operand: value == operand,
    "!=": lambda value, operand: value != operand,
    "<": lambda value, operand: value < operand,
    "<=": lambda value, operand: value <= operand,
    ">": lambda value, operand: value > operand,
    ">=": lambda value, operand: value >= operand,
}
_DEEPEST: Final = 50
_CAPITAL: Final = re.compile(r"(?<=[a-z])([A-Z])")


def parse_filter(text: str) -> Callable[[Message], bool]:
    """Return a test for resources.

    Raises:
        StatusError: INVALID_ARGUMENT, the filter cannot be read.
    """
    if not text.strip():
        return lambda _resource: True
    try:
        read: Any = _parser().parse(text)
    except LarkError:
        raise invalid(BAD_ARGUMENT) from None
    return lambda resource: read.passes(_fields(resource))


@cache
def _parser() -> Lark:
    # Tests are made while it is read: no tree, so no depth but the one that is counted.
    return Lark(_GRAMMAR, parser="lalr", transformer=_Tests())


def _fields(resource: Message) -> dict[str, Any]:
    fields = json_format.MessageToDict(resource, preserving_proto_field_name=True)
    fields["name"] = resource.name.rpartition("/")[2]
    return fields


class _Test(NamedTuple):
    passes: Callable[[_Fields], bool]
    #: How many parentheses and negations it holds inside one another, itself included.
    depth: int = 1


@v_args(inline=True)
class _Tests(Transformer[Token, _Test]):
    """What each rule of the grammar lets through."""

    def conjunction(self, *parts: _Test) -> _Test:
        return _Test(lambda fields: all(part.passes(fields) for part in parts), _deepest(parts))

    def alternative(self, *parts: _Test) -> _Test:
        return _Test(lambda fields: any(part.passes(fields) for part in parts), _deepest(parts))

    def negation(self, term: _Test) -> _Test:
        return _deeper(_Test(lambda fields: not term.passes(fields), term.depth))

    def group(self, term: _Test) -> _Test:
        return _deeper(term)

    def restriction(self, path: str, relation: str, operand: str) -> _Test:
        return _Test(_restriction(path, relation, operand))

    def text(self, token: str) -> str:
        return token.strip('"')


def _deepest(parts: tuple[_Test, ...]) -> int:
    return max(part.depth for part in parts)


def _deeper(test: _Test) -> _Test:
    if test.depth == _DEEPEST:
        raise invalid(BAD_ARGUMENT)
    return test._replace(depth=test.depth + 1)


def _restriction(path: str, relation: str, operand: str) -> Callable[[_Fields], bool]:
    steps = _CAPITAL.sub(lambda match: f"_{match[1].lower()}", path).split(".")
    holds = _RELATIONS[relation]

    def passes(fields: _Fields) -> bool:
        value: Any = fields
        for step in steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is None:
            return relation == "!="
        if relation == ":" and isinstance(value, Mapping | list):
            return operand == "*" or _has(value, operand)
        return holds(str(value), operand)

    return passes


def _has(value: Mapping[str, Any] | list[Any], operand: str) -> bool:
    if isinstance(value, Mapping):
        return operand in value
    return any(operand in str(element) for element in value)
