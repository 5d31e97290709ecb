"""Cloud Run: services and jobs as Knative YAML, the v2 API and Config Connector spell them.

Terraform's resources have the same shape and come through `in_branch`.

1. Knative YAML of other platforms means Kubernetes secrets: there a ``key`` is not a version, and
   is taken for one only when it is a number, ``latest`` or filled in.
2. Names without a project may be aliases, which the annotation ``run.googleapis.com/secrets`` of
   the same document explains.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from rotation.pins.kinds.file import File
from rotation.pins.tree import Branch, Leaf, leaves, walk
from rotation.pins.use import Named, State, Use, state_of

_ANNOTATION: Final = "run.googleapis.com/secrets"
_KNATIVE: Final = ("serving.knative.dev/", "run.googleapis.com/")
_CONNECTOR: Final = "run.cnrm.cloud.google.com/"
_NAMES: Final = ("secret", "secretRef", "name", "secretName", "secret_name")
_VERSIONS: Final = ("version", "versionRef", "key")
#: What only Google's own API has: a name under ``secret``.
_GOOGLES: Final = ("secret", "secretRef")


def uses(file: File) -> Iterator[Use]:
    """Find uses in the documents of a file."""
    for root in file.roots:
        yield from _in_document(file, root)


def _in_document(file: File, root: Branch) -> Iterator[Use]:
    version = root.text("apiVersion")
    if root.text("kind") == "List":
        for branch in root.branches("items"):
            yield from _in_document(file, branch)
    elif version.startswith((*_KNATIVE, _CONNECTOR)):
        yield from in_branch(file, root, _NAMES, _explained(root))
    elif not version:
        yield from in_branch(file, root, _GOOGLES)


def in_branch(
    file: File,
    root: Branch,
    names: tuple[str, ...] = _NAMES,
    explained: Mapping[str, Named] | None = None,
) -> Iterator[Use]:
    """Find environment variables and volumes anywhere below a branch."""
    for entry in walk(root):
        if entry.key in {"secretKeyRef", "secret_key_ref"}:
            for branch in root_branches(entry.node):
                yield from _reference(file, branch, branch, names, explained or {})
        elif entry.key == "secret":
            for branch in root_branches(entry.node):
                yield from _volume(file, branch, names, explained or {})


def root_branches(node: object) -> list[Branch]:
    """Return a block, or the blocks of a list."""
    if not isinstance(node, Branch):
        return []
    if not node.is_list:
        return [node]
    return [entry.node for entry in node.entries if isinstance(entry.node, Branch)]


def _volume(
    file: File, branch: Branch, names: tuple[str, ...], explained: Mapping[str, Named]
) -> Iterator[Use]:
    parts = branch.branches("items", "versions")
    for part in parts:
        yield from _reference(file, branch, part, names, explained)
    name = _referred(branch, names)
    if name is not None and not parts:
        yield file.use("cloud-run", name, None, explained.get(name.value))


def _reference(
    file: File,
    owner: Branch,
    branch: Branch,
    names: tuple[str, ...],
    explained: Mapping[str, Named],
) -> Iterator[Use]:
    name, version = _referred(owner, names), _referred(branch, _VERSIONS)
    if name is None:
        return
    is_key = version is not None and version is branch.leaf("key")
    if is_key and version is not None and state_of(version.value) is State.ALIAS:
        return  # rule 1
    use = file.use("cloud-run", name, version, explained.get(name.value))
    # Config Connector's name of a version is that of another resource.
    others = [reference.leaf("name") for reference in branch.branches("versionRef")]
    yield replace(use, is_elsewhere=version is not None and version in others)


def _referred(branch: Branch, keys: tuple[str, ...]) -> Leaf | None:
    """Return a value, or what Config Connector has below it."""
    for key in keys:
        if leaf := branch.leaf(key):
            return leaf
        for inner in branch.branches(key):
            if leaf := inner.leaf("external", "name"):
                return leaf
    return None


def _explained(root: Branch) -> Mapping[str, Named]:
    found = [leaf.value for path, leaf in leaves(root) if path[-1] == _ANNOTATION]
    pairs = (pair.strip().partition(":") for text in found for pair in text.split(","))
    return {alias: Named.read(name) for alias, _, name in pairs if name}
