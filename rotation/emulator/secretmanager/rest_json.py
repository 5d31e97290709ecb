"""JSON as Google's REST endpoints read it, with their words when they refuse it.

1. Field names may be spelled in lowerCamelCase or snake_case.
2. An unknown field is refused, a list where a map belongs, and two fields of one oneof.
3. One object where a list belongs is a list of one.
4. Whatever else cannot be read is an invalid argument; the text never quotes a value.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from rotation.emulator.bodies import parse_json
from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.names import BAD_ARGUMENT
from rotation.emulator.status import invalid

#: Messages whose JSON is not an object of their fields.
_SPECIAL: Final = "google.protobuf."


def read_body(text: bytes) -> Mapping[str, Any]:
    """Read a request body: a JSON object, or nothing at all."""
    try:
        body = parse_json(text or b"{}")
    except ValueError:
        raise invalid("Invalid JSON payload received. Parsing failed.") from None
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received. An object was expected.")
    return body


def fill(message: Message, fields: Mapping[str, Any], path: str = "") -> None:
    """Set the fields of a message from JSON.

    Args:
        message: What is filled.
        fields: The JSON object.
        path: Where in the request the object stands; quoted in refusals.
    """
    normal = _object(message.DESCRIPTOR, fields, path)
    try:
        json_format.ParseDict(normal, message)
    except (json_format.ParseError, TypeError, ValueError):
        raise invalid(BAD_ARGUMENT) from None


def fill_from_query(message: Message, parameters: Iterable[tuple[str, str]]) -> None:
    """Set the fields of a message from query parameters, whose names may be dotted."""
    tree: dict[str, Any] = {}
    for name, value in parameters:
        *parents, last = _query_path(message.DESCRIPTOR, name)
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
            if not isinstance(branch, dict):
                raise invalid(BAD_ARGUMENT)
        branch[last] = value
    mask = tree.pop("update_mask", None)
    if isinstance(mask, dict):
        raise invalid(BAD_ARGUMENT)
    if mask is not None:
        message.update_mask.SetInParent()
        message.update_mask.paths.extend(path for path in mask.split(",") if path)
    fill(message, tree)


def _query_path(descriptor: Descriptor, name: str) -> list[str]:
    path: list[str] = []
    inside: Descriptor | None = descriptor
    for step in name.split("."):
        field = _field(inside, step) if inside else None
        if field is None:
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name}": Cannot bind query '
                f"parameter. Field '{name}' could not be found in request message."
            )
        path.append(field.name)
        inside = field.message_type
    return path


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    return descriptor.fields_by_name.get(name) or descriptor.fields_by_camelcase_name.get(name)


def _object(descriptor: Descriptor, fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the JSON with every name in lowerCamelCase; refuse what the service refuses."""
    normal: dict[str, Any] = {}
    chosen: set[str] = set()
    for name, value in fields.items():
        field = _field(descriptor, name)
        if field is None:
            where = f" at '{path}'" if path else ""
            raise invalid(
                f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
            )
        _choose(field, chosen, path)
        normal[field.json_name] = _value(field, value, path)
    return normal


def _choose(field: FieldDescriptor, chosen: set[str], path: str) -> None:
    oneof = field.containing_oneof
    if oneof is None:
        return
    if oneof.name in chosen:
        raise invalid(
            f"Invalid value at '{path}' (oneof), oneof field '{oneof.name}' is already set. "
            f"Cannot set '{field.json_name}'"
        )
    chosen.add(oneof.name)


def _value(field: FieldDescriptor, value: Any, path: str) -> Any:  # noqa: ANN401
    inside = field.message_type
    if inside is None or value is None or inside.full_name.startswith(_SPECIAL):
        return value
    below = f"{path}.{field.json_name}" if path else field.json_name
    if inside.GetOptions().map_entry:
        if isinstance(value, list):
            raise invalid(
                f"Invalid value at '{path}' (Map), Cannot bind a list to map for field "
                f"'{field.json_name}'."
            )
        return value
    if field.is_repeated:
        items = value if isinstance(value, list) else [value]
        return [_item(inside, item, f"{below}[{i}]") for i, item in enumerate(items)]
    return _item(inside, value, below)


def _item(descriptor: Descriptor, value: Any, path: str) -> Any:  # noqa: ANN401
    return _object(descriptor, value, path) if isinstance(value, dict) else value
