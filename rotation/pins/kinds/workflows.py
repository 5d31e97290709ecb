"""GitHub Actions of Google: secrets handed to a deployment, and secrets read in a job."""

import re
from collections.abc import Iterator
from typing import Final

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
        start, end = found.span("name")
        parts = found["name"].split("/")
        version: str | None = None
        match parts:
            case ["projects", project, "secrets", secret]:
                named = Named(secret, project)
            case ["projects", project, "locations", location, "secrets", secret]:
                named = Named(secret, project, location)
            case ["projects", *_]:
                continue  # a full name with its version is found as such
            case [project, secret]:
                named = Named(secret, project)
            case [project, secret, version]:
                named = Named(secret, project)
            case [project, location, secret, version]:
                named = Named(secret, project, location)
            case _:
                continue
        if version is None:
            before = "/versions/" if parts[0] == "projects" else "/"
            insertion = Insertion(end, before, "")
            yield Use("github-actions", named, None, start, end, insertion=insertion)
        else:
            span = (end - len(version), end)
            yield Use("github-actions", named, version, *span, names_itself=True)
