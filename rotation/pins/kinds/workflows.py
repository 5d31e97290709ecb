"""GitHub Actions of Google: secrets handed to a deployment, and secrets read in a job."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rotation.model.names import VERSIONS
from rotation.pins.kinds.file import File
from rotation.pins.references import items
from rotation.pins.tree import Branch, Leaf, walk
from rotation.pins.use import TEMPLATE, Insertion, Named, Use

_DEPLOY: Final = (
    "google-github-actions/deploy-cloudrun@",
    "google-github-actions/deploy-cloud-functions@",
)
_READ: Final = "google-github-actions/get-secretmanager-secrets@"
_PART: Final = rf"(?:{TEMPLATE}|[^\s,/:${{}}<>]{{1,255}}+)++"
_OUTPUT: Final = re.compile(
    rf"(?<![\w-])[\w-]{{1,255}}+:(?P<name>{_PART}(?:/{_PART}){{1,7}})(?=[\s,]|$)"
)


def uses(file: File) -> Iterator[Use]:
    """Find uses in the steps of a workflow."""
    for root in file.roots:
        for entry in walk(root):
            step = entry.node
            if isinstance(step, Branch) and step.text("uses").startswith((*_DEPLOY, _READ)):
                yield from _in_step(file, step)


def _in_step(file: File, step: Branch) -> Iterator[Use]:
    action = step.text("uses")
    for options in step.branches("with"):
        for key in ("secrets", "secret_environment_variables"):
            leaf = options.leaf(key)
            if leaf is None:
                continue
            if action.startswith(_READ):
                yield from _outputs(file, leaf)
            else:
                yield from items("github-actions", file.visible, leaf.start, leaf.end)


def _outputs(file: File, leaf: Leaf) -> Iterator[Use]:
    """Read ``output:project/secret/version`` and its longer and shorter forms."""
    for found in _OUTPUT.finditer(file.visible, leaf.start, leaf.end):
        parts = found["name"].split("/")
        parsed = _parse(parts)
        if parsed is None:
            continue
        named, version = parsed
        start, end = found.span("name")
        if version is None:
            before = VERSIONS if parts[0] == "projects" else "/"
            insertion = Insertion(end, before, "")
            yield Use("github-actions", named, None, start, end, insertion=insertion)
        else:
            span = (end - len(version), end)
            yield Use("github-actions", named, version, *span, names_itself=True)


def _parse(parts: Sequence[str]) -> tuple[Named, str | None] | None:
    """Return the secret and its version; None: a full name with its version is found as such."""
    match parts:
        case ["projects", project, "secrets", secret]:
            return Named(secret, project), None
        case ["projects", project, "locations", location, "secrets", secret]:
            return Named(secret, project, location), None
        case ["projects", *_]:
            return None
        case [project, secret]:
            return Named(secret, project), None
        case [project, secret, version]:
            return Named(secret, project), version
        case [project, location, secret, version]:
            return Named(secret, project, location), version
        case _:
            return None
