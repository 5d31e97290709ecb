"""Prints an answer as gcloud does with ``--format=json``, ``value(...)`` or nothing."""

import json
import re
from typing import Any

import yaml

_VALUE = re.compile(r"(?:value|table)\((?P<fields>.*)\)")
_TRANSFORM = re.compile(r"\.(?:basename|date)\(\)")


def show(answer: Any, how: str | None) -> None:
    """Print one answer, or a list of them."""
    rows = answer if isinstance(answer, list) else [answer]
    if how == "json":
        print(json.dumps(answer, indent=2))  # noqa: T201
    elif how and (match := _VALUE.fullmatch(how)):
        for row in rows:
            cells = [_field(row, field.strip()) for field in match["fields"].split(",")]
            print("\t".join(cells))  # noqa: T201
    elif how:
        raise SystemExit(f"this stand-in does not know --format={how}")
    else:
        print("---\n".join(yaml.safe_dump(row) for row in rows), end="")  # noqa: T201


def _field(row: Any, path: str) -> str:
    plain = _TRANSFORM.sub("", path)
    value = row
    for key in plain.split("."):
        value = value.get(key, "") if isinstance(value, dict) else ""
    text = str(value)
    return text.rpartition("/")[2] if "basename" in path else text
