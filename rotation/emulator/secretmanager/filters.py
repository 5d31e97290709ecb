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
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from google.protobuf import json_format

from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.status import invalid

Predicate = Callable[[Mapping[str, Any]], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<sign>[()]|!=|<=|>=|[:=<>-])|"(?P<quoted>[^"]*)"|(?P<word>[^\s()"':=<>!~]+))"""
)
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
    passes = _Parser(_tokens(text)).parse()
    return lambda resource: passes(_fields(resource))


def _tokens(text: str) -> list[str]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise invalid(BAD_ARGUMENT)
        quoted = match["quoted"]
        tokens.append(f'"{quoted}' if quoted is not None else match["sign"] or match["word"])
        position = match.end()
    return tokens


def _fields(resource: Message) -> dict[str, Any]:
    fields = json_format.MessageToDict(resource, preserving_proto_field_name=True)
    fields["name"] = resource.name.rpartition("/")[2]
    return fields


class _Parser:
    """Recursive descent over the tokens; each method reads what its name says."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._tokens = deque(tokens)
        self._depth = 0

    def parse(self) -> Predicate:
        predicate = self._conjunction()
        if self._tokens:
            raise invalid(BAD_ARGUMENT)
        return predicate

    def _conjunction(self) -> Predicate:
        parts = [self._disjunction()]
        while self._tokens and self._tokens[0] != ")":
            self._skip("AND")
            parts.append(self._disjunction())
        return lambda fields: all(part(fields) for part in parts)

    def _disjunction(self) -> Predicate:
        parts = [self._term()]
        while self._skip("OR"):
            parts.append(self._term())
        return lambda fields: any(part(fields) for part in parts)

    def _term(self) -> Predicate:
        if self._depth == _DEEPEST:
            raise invalid(BAD_ARGUMENT)
        self._depth += 1
        term = self._one_term()
        self._depth -= 1
        return term

    def _one_term(self) -> Predicate:
        if self._skip("NOT") or self._skip("-"):
            term = self._term()
            return lambda fields: not term(fields)
        if self._skip("("):
            inner = self._conjunction()
            if not self._skip(")"):
                raise invalid(BAD_ARGUMENT)
            return inner
        return self._restriction()

    def _restriction(self) -> Predicate:
        path, relation, operand = self._word(), self._next(), self._word()
        if relation not in _RELATIONS:
            raise invalid(BAD_ARGUMENT)
        return _restriction(path, relation, operand)

    def _skip(self, token: str) -> bool:
        found = bool(self._tokens) and self._tokens[0] == token
        if found:
            self._tokens.popleft()
        return found

    def _next(self) -> str:
        if not self._tokens:
            raise invalid(BAD_ARGUMENT)
        return self._tokens.popleft()

    def _word(self) -> str:
        token = self._next()
        if token in _RELATIONS or token in {"(", ")", "AND", "OR", "NOT"}:
            raise invalid(BAD_ARGUMENT)
        return token.removeprefix('"')


def _restriction(path: str, relation: str, operand: str) -> Predicate:
    steps = _CAPITAL.sub(lambda match: f"_{match[1].lower()}", path).split(".")
    holds = _RELATIONS[relation]

    def passes(fields: Mapping[str, Any]) -> bool:
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
