"""Terraform: the data source and the ephemeral resource of a version, Cloud Run, Cloud Functions.

1. A secret that is named by an expression is looked up in the same file; what is elsewhere stays
   an expression.
2. A data source without a version takes the latest.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from rotation.pins.kinds import cloud_run
from rotation.pins.kinds.file import File
from rotation.pins.source import Format
from rotation.pins.tree import Branch, Leaf, Style, items
from rotation.pins.use import Named, Use

_VERSION_TYPES: Final = (
    "google_secret_manager_secret_version",
    "google_secret_manager_secret_version_access",
    "google_secret_manager_regional_secret_version",
    "google_secret_manager_regional_secret_version_access",
)
_RUN: Final = "google_cloud_run"
_FUNCTIONS: Final = ("google_cloudfunctions2_function", "google_cloudfunctions_function")
_EXPRESSION: Final = re.compile(
    r"google_secret_manager(?:_regional)?_secret\.(?P<label>[\w-]+)\.(?:id|name|secret_id)"
)


def uses(file: File) -> Iterator[Use]:
    """Find uses in a file of Terraform."""
    if file.source.format is not Format.HCL:
        return
    for root in file.roots:
        known = _declared(root)
        for use in _in_root(file, root):
            found = _EXPRESSION.fullmatch(use.named.secret_id)
            named = known.get(found["label"], use.named) if found else use.named
            yield Use(use.kind, named, use.value, use.start, use.end, insertion=use.insertion)


def _in_root(file: File, root: Branch) -> Iterator[Use]:
    for _type, block in _blocks(root, ("data", "ephemeral"), _VERSION_TYPES):
        yield from _version(file, block)
    for kind, block in _blocks(root, ("resource",), None):
        if kind.startswith(_RUN):
            yield from cloud_run.in_branch(file, block)
        elif kind in _FUNCTIONS:
            yield from _function(file, block)


def _blocks(
    root: Branch, classes: tuple[str, ...], types: tuple[str, ...] | None
) -> Iterator[tuple[str, Branch]]:
    for typed in root.branches(*classes):
        for entry in typed.entries:
            if types is not None and entry.key not in types:
                continue
            for labelled in items(entry.node):
                if isinstance(labelled, Branch):
                    yield str(entry.key), labelled


def _version(file: File, block: Branch) -> Iterator[Use]:
    name, version = block.leaf("secret"), block.leaf("version")
    if name is None:
        return
    project = block.leaf("project")
    named = _named(name, project)
    use = file.use("terraform", name, version, named)
    if version is None:
        insertion = file.insertion(block, "secret", "version", " = ")
        use = Use(use.kind, named, None, use.start, use.end, insertion=insertion)
    yield use


def _function(file: File, block: Branch) -> Iterator[Use]:
    for config in (block, *block.branches("service_config")):
        for branch in config.branches("secret_environment_variables"):
            yield from _function_use(file, branch, branch)
        for volume in config.branches("secret_volumes"):
            for version in volume.branches("versions"):
                yield from _function_use(file, volume, version)


def _function_use(file: File, owner: Branch, branch: Branch) -> Iterator[Use]:
    name = owner.leaf("secret")
    if name is not None:
        named = _named(name, owner.leaf("project_id"))
        yield file.use("terraform", name, branch.leaf("version"), named)


def _named(name: Leaf, project: Leaf | None) -> Named:
    named = Named.read(name.value)
    if project is None or named.project is not None or project.style is not Style.QUOTED:
        return named
    return Named(named.secret_id, project.value)


def _declared(root: Branch) -> Mapping[str, Named]:
    """Return the secrets that the file declares, by their label."""
    found: dict[str, Named] = {}
    types = ("google_secret_manager_secret", "google_secret_manager_regional_secret")
    for typed in root.branches("resource"):
        for entry in typed.entries:
            if entry.key not in types or not isinstance(entry.node, Branch):
                continue
            for label in entry.node.entries:
                secret = label.node.leaf("secret_id") if isinstance(label.node, Branch) else None
                if secret is not None and secret.style is Style.QUOTED:
                    found[str(label.key)] = Named(secret.value)
    return found
