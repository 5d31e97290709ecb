"""Reads what the fields of a settings dataclass mean: name, type, default and comment.

Rules of this module:
  1. The meaning of a field is the comment ``#:`` above it, in the source; one place for the reader
     of the code and the reader of the page.
  2. A field without one is an error that names file, line and field.
  3. Types are named in the words of a policy's author: a duration is ``10m``, a tuple is a list.
"""

import ast
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from datetime import timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from rotation.model.errors import PermanentError
from rotation.model.target import target_type
from rotation.policies.duration import format_duration

_WORDS: Final[Mapping[type, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    timedelta: "duration",
    type(None): "null",
}
_COMMENT: Final = re.compile(r"\s*#: ?(.*)")


class UndocumentedError(PermanentError):
    """A setting has no comment that says what it means."""

    reason = "undocumented"


@dataclass(frozen=True)
class Described:
    """One setting, for a reader of policies."""

    name: str
    type: str
    required: bool
    #: As it is written in a policy; empty where the setting is required.
    default: str
    meaning: str
    #: Who says it: ``target``, the deployment's document, or ``policy``.
    owner: str = "policy"


def describe(settings: type) -> list[Described]:
    """Return the settings of a dataclass; those of a nested one follow it, as ``outer.inner``.

    Raises:
        UndocumentedError: A setting has no comment.
    """
    part = target_type(settings)
    own = {field.name for field in fields(part)} if part else set()
    found = _described(settings, "")
    return [
        replace(one, owner="target") if re.split(r"[.\[]", one.name)[0] in own else one
        for one in found
    ]


def _described(settings: type, prefix: str) -> Iterator[Described]:
    hints = get_type_hints(settings)
    for field in fields(settings):
        required = field.default is MISSING and field.default_factory is MISSING
        yield Described(
            f"{prefix}{field.name}",
            spell(hints[field.name]),
            required,
            "" if required else _default(field),
            meaning_of(settings, field.name),
        )
        for inner, many in _nested(hints[field.name]):
            yield from _described(inner, f"{prefix}{field.name}{'[]' if many else ''}.")


def _default(field: Any) -> str:  # noqa: ANN401 - a dataclass' field
    value = field.default_factory() if field.default is MISSING else field.default
    return _written(value)


def _written(value: object) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Enum):
        return str(value.value)
    if is_dataclass(value):
        return "{}"
    return json.dumps(value)


def spell(hint: Any) -> str:  # noqa: ANN401 - any type
    """Return a type in the words of a policy's author."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(spell(part) for part in parts)
    if origin is tuple:
        many = parts[-1] is Ellipsis
        return f"list of {spell(parts[0])}" + ("" if many else f", {len(parts)} of them")
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {spell(parts[1])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return "object"
    raise TypeError(f"{hint} is not a type of a setting")


def _nested(hint: Any) -> Iterator[tuple[type, bool]]:  # noqa: ANN401 - any type
    """Yield the dataclasses in a type, and whether there may be many of each."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint, False
    many = get_origin(hint) is tuple
    for part in get_args(hint):
        yield from ((inner, many or more) for inner, more in _nested(part))


def meaning_of(settings: type, name: str) -> str:
    """Return the comment of a field, its own or the one of the class it comes from.

    Raises:
        UndocumentedError: There is none.
    """
    for owner in settings.__mro__:
        if name in inspect.get_annotations(owner):
            comment = _comments(owner).get(name, "")
            if comment:
                return comment
            file = inspect.getsourcefile(owner)
            raise UndocumentedError(
                f"{file}: the setting {name} of {owner.__name__} does not say what it means",
                remedy=f"write it above the field, in a comment that begins with #: ({name})",
            )
    raise KeyError(name)


@cache
def _comments(owner: type) -> Mapping[str, str]:
    source = textwrap.dedent(inspect.getsource(owner))
    lines = source.splitlines()
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - a class' source is a class
    return {
        node.target.id: _above(lines, node.lineno - 1)
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _above(lines: list[str], index: int) -> str:
    words: list[str] = []
    while index > 0 and (match := _COMMENT.fullmatch(lines[index - 1])):
        words.insert(0, match[1])
        index -= 1
    return " ".join(words).replace("``", "`")
