"""External Secrets Operator: ``remoteRef`` and ``extract`` of an ExternalSecret.

A use without a version takes the latest.  Which provider the store has is not in the file;
an ExternalSecret of another provider is found, too.
"""

from collections.abc import Iterator
from typing import Final

from rotation.pins.kinds.file import File
from rotation.pins.tree import Branch, walk
from rotation.pins.use import Use

_KINDS: Final = ("ExternalSecret", "ClusterExternalSecret")


def uses(file: File) -> Iterator[Use]:
    """Find uses in the documents of a file."""
    for root in file.roots:
        inner = root.branches("items") if root.text("kind") == "List" else [root]
        for branch in inner:
            is_one = branch.text("apiVersion").startswith("external-secrets.io/")
            if is_one and branch.text("kind") in _KINDS:
                yield from _in_secret(file, branch)


def _in_secret(file: File, root: Branch) -> Iterator[Use]:
    for entry in walk(root):
        if entry.key not in {"remoteRef", "extract"} or not isinstance(entry.node, Branch):
            continue
        name = entry.node.leaf("key")
        if name is None:
            continue
        version = entry.node.leaf("version")
        use = file.use("external-secret", name, version)
        if version is None:
            insertion = file.insertion(entry.node, "key", "version", ": ")
            use = Use(use.kind, use.named, None, use.start, use.end, insertion=insertion)
        yield use
