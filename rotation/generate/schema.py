"""The JSON Schema of a policy with what each setting means, for editors."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

from rotation.generate.fields import meaning_of
from rotation.policies.policy import Kinds
from rotation.policies.schema import policy_schema

_Schema = dict[str, Any]


def commented_schema(kinds: Kinds) -> _Schema:
    """Return the JSON Schema of a policy; every setting of a plugin says what it means."""
    schema = policy_schema(kinds)
    groups = (kinds.issuers, kinds.participants, kinds.gates)
    settings = [kind for group in groups for kind in group.values()]
    for owner in {inner for setting in settings for inner in _records(setting)}:
        _comment(schema["$defs"].get(owner.__name__), owner)
    stage = schema["properties"]["rollout"]["items"]["properties"]
    places = (
        schema["properties"]["issuer"],
        stage["participants"]["items"],
        stage["gates"]["items"],
    )
    for place, group in zip(places, groups, strict=True):
        for choice in place.get("oneOf", ()):
            _comment(choice, group[choice["title"]])
    return schema


def _comment(schema: _Schema | None, owner: type) -> None:
    hints = get_type_hints(owner)
    for name, field in (schema or {}).get("properties", {}).items():
        if name in hints:
            field["description"] = meaning_of(owner, name)


def _records(owner: type) -> Iterator[type]:
    yield owner
    for hint in get_type_hints(owner).values():
        for part in (hint, *get_args(hint)):
            if isinstance(part, type) and is_dataclass(part):
                yield from _records(part)
