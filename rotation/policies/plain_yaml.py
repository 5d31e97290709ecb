"""Reads YAML as far as JSON can say the same.

Decides what a text says, not whether that is a policy or a targets document.

1. No key twice, no anchors, no tags, no dates; keys are text.
2. Faults name line and column and quote no value.
"""

import json
from collections.abc import Hashable
from typing import Any, Final

import yaml

_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class NotPlainError(ValueError):
    """A text is not YAML, or says what JSON cannot."""


def read_yaml(text: str) -> object:
    """Return the plain values of one document.

    Raises:
        NotPlainError: It is neither YAML nor JSON, or says what JSON cannot.
    """
    try:
        # A safe loader: it builds plain values only.
        document: object = yaml.load(text, _Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        raise NotPlainError(_located(error)) from None
    except yaml.YAMLError:
        raise NotPlainError("it holds characters that no text file has") from None
    except (TypeError, ValueError, RecursionError):
        raise NotPlainError("it holds something JSON cannot say") from None
    return document


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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
