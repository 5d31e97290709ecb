"""The JSON Schemas of policies and of the targets document, with what each setting means."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Final, get_args, get_type_hints

from rotation.generate.fields import meaning_of
from rotation.model.target import Demands, Target, target_type
from rotation.policies.policy import Kinds
from rotation.policies.schema import policy_schema, targets_schema

_Schema = dict[str, Any]
#: What `target` means, in every plugin of a policy.
_TARGET: Final = "What the targets document of the deployment calls the system that is touched."


def commented_schema(kinds: Kinds) -> _Schema:
    """Return the JSON Schema of a policy; every setting of a plugin says what it means."""
    schema = policy_schema(kinds)
    groups = (kinds.issuers, kinds.participants, kinds.gates)
    _comment_records(schema, (kind for group in groups for kind in group.values()))
    stage = schema["properties"]["rollout"]["items"]["properties"]
    places = (
        schema["properties"]["issuer"],
        stage["participants"]["items"],
        stage["gates"]["items"],
    )
    for place, group in zip(places, groups, strict=True):
        for choice in place.get("oneOf", ()):
            _comment(choice, group[choice["title"]])
            if "target" in choice["properties"]:
                choice["properties"]["target"]["description"] = _TARGET
    return schema


def commented_targets_schema(kinds: Mapping[str, type]) -> _Schema:
    """Return the JSON Schema of a targets document; every setting says what it means.

    Args:
        kinds: Settings record of each plugin, of whatever kind.
    """
    schema = targets_schema(kinds)
    _comment_records(schema, (Demands, *filter(None, map(target_type, kinds.values()))))
    for choice in schema["properties"]["targets"]["additionalProperties"].get("oneOf", ()):
        record = target_type(kinds[choice["title"]])
        assert record is not None  # noqa: S101 - the schema has those alone that touch something
        _comment(choice, record)
        _comment(choice, Target)
    return schema


def _comment_records(schema: _Schema, settings: Iterable[type]) -> None:
    for owner in {inner for record in settings for inner in _records(record)}:
        _comment(schema["$defs"].get(owner.__name__), owner)


def _comment(schema: _Schema | None, owner: type) -> None:
    hints = get_type_hints(owner)
    for name, field in (schema or {}).get("properties", {}).items():
        if name in hints and "description" not in field:
            field["description"] = meaning_of(owner, name)


def _records(owner: type) -> Iterator[type]:
    yield owner
    for hint in get_type_hints(owner).values():
        for part in (hint, *get_args(hint)):
            if isinstance(part, type) and is_dataclass(part):
                yield from _records(part)
