"""Spells a scan as SARIF 2.1.0, which code hosts show beside the lines.

1. One rule for each way of not being pinned; what is pinned is not a result.
2. Places are relative to the folder that was scanned, under the base ``%SRCROOT%``.
3. A result keeps its identity (``partialFingerprints``) when lines move.
"""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from rotation.cli.views.scanning import Line
from rotation.pins.use import State

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES: Final = {
    State.ALIAS: ("secret-version-alias", "An alias picks the version of a secret"),
    State.LATEST: ("secret-version-latest", "A secret is used at its latest version"),
    State.UNPINNED: ("secret-version-unpinned", "A secret is used without a version"),
    State.INDIRECT: ("secret-version-indirect", "The version of a secret comes from elsewhere"),
    State.UNCLEAR: ("secret-version-unclear", "A marker's version is not clear"),
}
_WHY: Final = (
    "A consumer that is not pinned to a number gets the next credential at a moment that nobody"
    " chose, and cannot be sent back by a commit."
)


def render(lines: Sequence[Line], fail_on: Collection[State], version: str) -> Mapping[str, Any]:
    """Return the log of one scan."""
    rules = [_rule(state, state in fail_on) for state in _RULES]
    driver = {"name": "rotation", "version": version, "rules": rules}
    reported = [line for line in lines if line.state in _RULES]
    results = [
        {**_result(line, line.state in fail_on), "partialFingerprints": _identity(reported, index)}
        for index, line in enumerate(reported)
    ]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            "%SRCROOT%": {"description": {"text": "The folder that was scanned."}}
        },
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(state: State, fails: bool) -> Mapping[str, Any]:  # noqa: FBT001 - one caller
    name, title = _RULES[state]
    return {
        "id": name,
        "shortDescription": {"text": f"{title}."},
        "fullDescription": {"text": f"{title}. {_WHY}"},
        "help": {"text": "Run: rotation pin FILE --secret NAME"},
        "defaultConfiguration": {"level": _level(fails)},
    }


def _result(line: Line, fails: bool) -> Mapping[str, Any]:  # noqa: FBT001 - one caller
    name, _title = _RULES[line.state]
    location = {
        "artifactLocation": {"uri": quote(os.fsencode(line.path)), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": line.line, "startColumn": line.column},
    }
    return {
        "ruleId": name,
        "ruleIndex": list(_RULES).index(line.state),
        "level": _level(fails),
        "message": {"text": f"{line.secret}: {line.says}. {line.fix}".rstrip()},
        "locations": [{"physicalLocation": location}],
    }


def _identity(lines: Sequence[Line], index: int) -> Mapping[str, str]:
    """Return what identifies a result even when lines move."""
    alike = [(line.path, line.secret, line.kind) for line in lines[: index + 1]]
    path, secret, kind = alike[-1]
    text = f"{path}\0{secret}\0{kind}\0{alike.count(alike[-1])}"
    return {"secretUse/v1": hashlib.sha256(os.fsencode(text)).hexdigest()}


def _level(fails: bool) -> str:  # noqa: FBT001 - see above
    return "error" if fails else "note"
