"""GitHub Actions of Google: secrets handed to a deployment, and secrets read in a job."""

import re
from collections.abc import Iterator
from typing import Final

from rotation.pins.kinds.file import File
from rotation.pins.references import items
from rotation.pins.tree import Branch, Leaf, walk
from rotation.pins.use import WORD, Insertion, Named, Use

_DEPLOY: Final = (
    "google-github-actions/deploy-cloudrun@",
    "google-github-actions/deploy-cloud-functions@",
)
_READ: Final = "google-github-actions/get-secretmanager-secrets@"
_LINE: Final = re.compile(
    rf"(?<![\w-])(?P<output>[\w-]{{1,255}}+):(?P<project>[^/\s:]{{1,200}}+)/(?P<secret>{WORD})"
    rf"(?:/(?P<version>{WORD}))?"
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
    for found in _LINE.finditer(file.visible, leaf.start, leaf.end):
        named = Named(found["secret"], found["project"])
        if found["version"] is None:
            insertion = Insertion(found.end(), "/", "")
            span = found.span("secret")
            yield Use("github-actions", named, None, *span, insertion=insertion)
        else:
            span = found.span("version")
            yield Use("github-actions", named, found["version"], *span, names_itself=True)
