"""Plain JSON values to typed records, naming every fault with its path.

Decides whether a document has the shape of a record type; knows nothing of policies.

1. Every fault is collected; reading goes on behind it.
2. A fault names the path, what is wrong and what was expected.  It never quotes a value: somebody
   may have written a password where none belongs.
3. Nothing is guessed: a text is not a number, a number is not a text.
4. A text has one line, and shows as what it is: whoever reads or runs a name reads the same.  Only
   what is declared as `rotation.model.text.Lines` may have several.
"""

import difflib
import enum
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from rotation.model.errors import RotationError
from rotation.model.text import Lines, first_hidden
from rotation.policies.duration import parse_duration

_Record = TypeVar("_Record")
_LONGEST_NAME: Final = 60
_NAMES: Final[Mapping[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a document."""

    #: For example ``rollout[0].participants[0].kind``; empty for the whole document.
    path: str
    #: What is wrong and what mends it.
    message: str
    #: The place in the targets document that does not allow it; empty: it is a fault of its own.
    by: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class Invalid(enum.Enum):
    """Stands for a value whose faults are already noted."""

    VALUE = enum.auto()


def read_record(
    kind: type[_Record],
    value: object,
    path: str,
    faults: list[Fault],
    given: Mapping[str, object] = types.MappingProxyType({}),
) -> _Record | Literal[Invalid.VALUE]:
    """Build one dataclass from a JSON object; `Invalid` when a fault was added.

    Args:
        kind: The record.
        value: The object.
        path: Where it stands.
        faults: What is wrong is added here.
        given: Fields that are known already, and that the object does not have.
    """
    if not isinstance(value, dict):
        return _mistyped("an object", value, path, faults)
    before = len(faults)
    names = [
        field.name
        for field in fields(kind)  # type: ignore[arg-type]
        if field.init and field.name not in given
    ]
    read = read_part(kind, value, names, path, faults)
    if len(faults) > before:
        return Invalid.VALUE
    return _build(kind, {**given, **read}, path, faults)


def read_part(
    kind: type, value: dict[str, Any], names: list[str], path: str, faults: list[Fault]
) -> dict[str, Any]:
    """Read some fields of a record, by themselves: no rule between them is asked.

    Args:
        kind: The record.
        value: The object; it may have no other keys.
        names: The fields that are read.
        path: Where it stands.
        faults: What is wrong is added here.
    """
    hints, read = _hints(kind), {}
    note_unknown_keys(value, names, path, faults)
    for field in (one for one in fields(kind) if one.name in names):
        if field.name in value:
            inner = join(path, field.name)
            read[field.name] = read_value(hints[field.name], value[field.name], inner, faults)
        elif field.default is MISSING and field.default_factory is MISSING:
            faults.append(Fault(path, f"the key {field.name!r} is missing"))
    return read


def read_value(kind: Any, value: object, path: str, faults: list[Fault]) -> Any:  # noqa: ANN401
    """Read one value as the type ``kind``; `Invalid` when a fault was added."""
    origin = get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return read_record(kind, value, path, faults)
    if kind is timedelta:
        return _read_duration(value, path, faults)
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        return _read_choice(kind, value, path, faults)
    if origin in (tuple, list):
        return _read_items(origin, get_args(kind), value, path, faults)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, path, faults)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _read_mapping(get_args(kind)[1], value, path, faults)
    return _read_plain(kind, value, path, faults)


def note_unknown_keys(
    value: Mapping[str, object], known: Iterable[str], path: str, faults: list[Fault]
) -> None:
    """Add a fault for each key that is not known, with the nearest one that is."""
    names = list(known)
    faults.extend(
        Fault(path, f"unknown key {_shown(key)}; {nearest(key, names)}")
        for key in value
        if key not in names
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, or list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:_LONGEST_NAME], names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are: {', '.join(names)}" if names else "none is known here"


def join(path: str, key: str) -> str:
    """Extend a path by a key."""
    return f"{path}.{key}" if path else key


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    """Return the types of a record's fields; they are looked up by name, which takes long."""
    return get_type_hints(kind, include_extras=True)


def _shown(key: str) -> str:
    return repr(key if len(key) <= _LONGEST_NAME else f"{key[:_LONGEST_NAME]}...")


def _build(
    kind: type[_Record], read: dict[str, Any], path: str, faults: list[Fault]
) -> _Record | Literal[Invalid.VALUE]:
    try:
        return kind(**read)
    except (ValueError, RotationError) as error:
        faults.append(Fault(path, str(error)))
    return Invalid.VALUE


def _mistyped(
    expected: str, value: object, path: str, faults: list[Fault]
) -> Literal[Invalid.VALUE]:
    got = _NAMES.get(type(value), "something else")
    faults.append(Fault(path, f"expected {expected}, got {got}"))
    return Invalid.VALUE


def _read_duration(value: object, path: str, faults: list[Fault]) -> Any:  # noqa: ANN401
    if not isinstance(value, str):
        return _mistyped('a duration such as "90s", "10m", "24h" or "7d"', value, path, faults)
    try:
        return parse_duration(value)
    except ValueError as error:
        faults.append(Fault(path, str(error)))
    return Invalid.VALUE


def _read_choice(kind: Any, value: object, path: str, faults: list[Fault]) -> Any:  # noqa: ANN401
    options = {
        option.value if isinstance(option, enum.Enum) else option: option
        for option in (get_args(kind) or kind)
    }
    for plain, option in options.items():
        # True equals 1, and neither is the other.
        if type(plain) is type(value) and plain == value:
            return option
    guess = nearest(value, map(str, options)) if isinstance(value, str) else ""
    hint = f"; {guess}" if guess.startswith("did") else ""
    allowed = ", ".join(repr(plain) for plain in options)
    faults.append(Fault(path, f"expected one of {allowed}{hint}"))
    return Invalid.VALUE


def _read_items(
    origin: Callable[[list[Any]], Any],
    arguments: tuple[Any, ...],
    value: object,
    path: str,
    faults: list[Fault],
) -> Any:  # noqa: ANN401
    if not isinstance(value, list):
        return _mistyped("a list", value, path, faults)
    if origin is list or arguments[1:] == (...,):
        arguments = arguments[:1] * len(value)
    if len(arguments) != len(value):
        faults.append(Fault(path, f"expected {len(arguments)} entries, got {len(value)}"))
        return Invalid.VALUE
    before = len(faults)
    read = [
        read_value(kind, item, f"{path}[{index}]", faults)
        for index, (kind, item) in enumerate(zip(arguments, value, strict=True))
    ]
    return Invalid.VALUE if len(faults) > before else origin(read)


def _read_union(kinds: tuple[Any, ...], value: object, path: str, faults: list[Fault]) -> Any:  # noqa: ANN401
    if value is None and type(None) in kinds:
        return None
    tried: list[Fault] = []
    for kind in kinds:
        if kind is not type(None):
            found: list[Fault] = []
            read = read_value(kind, value, path, found)
            if not found:
                return read
            tried += found
    # One kind: its faults say it best.  Several: a person cannot have meant them all.
    faults += tried if len(set(kinds) - {type(None)}) == 1 else tried[:1]
    return Invalid.VALUE


def _read_mapping(kind: Any, value: object, path: str, faults: list[Fault]) -> Any:  # noqa: ANN401
    if not isinstance(value, dict):
        return _mistyped("an object", value, path, faults)
    before = len(faults)
    for key in value:
        _note_hidden(key, path, faults)
    read = {
        key: read_value(kind, item, join(path, _shown(key)), faults) for key, item in value.items()
    }
    return Invalid.VALUE if len(faults) > before else read


def _read_plain(kind: Any, value: object, path: str, faults: list[Fault]) -> Any:  # noqa: ANN401
    if isinstance(value, str) and not _is_unicode(value):
        faults.append(Fault(path, "the text holds half a character (a lone surrogate)"))
        return Invalid.VALUE
    if isinstance(value, str) and _note_hidden(value, path, faults, lines=kind is Lines):
        return Invalid.VALUE
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        if kind is Lines:
            return _mistyped(_NAMES[str], value, path, faults)
        if get_origin(kind) is None and kind in _NAMES:
            return _mistyped(_NAMES[kind], value, path, faults)
        expected = getattr(kind, "__metadata__", None) or getattr(kind, "__name__", kind)
        faults.append(Fault(path, f"expected {expected}"))
    return Invalid.VALUE


def _note_hidden(text: str, path: str, faults: list[Fault], *, lines: bool = False) -> bool:
    """Add a fault for text that could look like another one; return whether there is one."""
    char = first_hidden(text, lines=lines)
    if char:
        which = f"the character U+{ord(char):04X}, which does not show"
        faults.append(Fault(path, f"the text holds {which}: remove it"))
    return bool(char)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
