"""Reads a policy file: YAML or JSON in, the JSON text of the annotation out.

Decides what a file says; `rotation.policies.policy` decides whether that is a policy.

1. Text that is JSON is taken as it is; anything else is YAML.
2. Faults name line and column and quote no value.
"""

import json
import re

import yaml

from rotation.policies.plain_yaml import NotPlainError, is_json, read_yaml
from rotation.policies.policy import FaultyPolicyError
from rotation.policies.typed import Fault

_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def to_json(text: str) -> str:
    """Return the JSON text of one policy document.

    Raises:
        FaultyPolicyError: The file is neither YAML nor JSON, or says what JSON cannot.
    """
    if text.lstrip().startswith("{") and is_json(text):
        return text
    try:
        return json.dumps(read_yaml(text), ensure_ascii=False, allow_nan=False)
    except NotPlainError as error:
        raise _fault(str(error)) from None
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


def _fault(message: str) -> FaultyPolicyError:
    return FaultyPolicyError([Fault("", f"not a policy file: {message}")])
