"""Reads a policy file: YAML or JSON in, the JSON text of the annotation out.

Decides what a file says; `rotation.policies.policy` decides whether that is a policy.

1. Text that is JSON is taken as it is; anything else is YAML.
2. Of YAML only what JSON can say: no key twice, no anchors, no tags, no dates; keys are text.
3. Faults name line and column and quote no value.
"""

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

from rotation.policies.policy import FaultyPolicyError
from rotation.policies.typed import Fault

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def to_json(text: str) -> str:
    """Return the JSON text of one policy document.

    Raises:
        FaultyPolicyError: The file is neither YAML nor JSON, or says what JSON cannot.
    """
    if text.lstrip().startswith("{") and _is_json(text):
        return text
    try:
        # A safe loader: it builds plain values only.
        document = yaml.load(text, _Loader)  # noqa: S506
        return json.dumps(document, ensure_ascii=False, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        raise _fault(_located(error)) from None
    except yaml.YAMLError:
        raise _fault("it holds characters that no text file has") from None
    except (TypeError, ValueError, RecursionError):
        raise _fault("it holds something JSON cannot say") from None


def compact(text: str) -> str:
    """Spell JSON text without spaces: annotations have 16 KiB in all."""
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


def to_yaml(document: object) -> str:
    """Spell a document as people read it; `to_json` reads the same."""
    try:
        return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
    except RecursionError:
        return json.dumps(document, ensure_ascii=False) + "\n"  # JSON is YAML too


class _Dumper(yaml.SafeDumper):
    """Quotes and escapes the line ends of other worlds, which a reader would take for spaces."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if _LINE_ENDS.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's own attribute
        first: [pair for pair in pairs if pair[0] != _TIMESTAMP]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _marked("anchors and aliases are not read: write it out", event)
        if event.tag is not None:
            # The library's own constructors fail in many ways on what does not fit the tag.
            raise _marked("tags are not read: leave it out", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's signature
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _marked("a key must be text: put it in quotes", key_node)
            if key in keys:
                raise _marked(f"the key {key[:60]!r} appears twice", key_node)
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


def _marked(problem: str, at: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401 - a node or an event
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _located(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}{error.problem or error.context}"


def _fault(message: str) -> FaultyPolicyError:
    return FaultyPolicyError([Fault("", f"not a policy file: {message}")])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
