"""The pins file ``secrets.lock.json``, ``.yaml`` or ``.toml``: full names, and their versions.

    {"secrets": {"projects/acme/secrets/orders": 3}}

Nobody else writes it, so there is nothing to collide with; every line is one pin.
"""

import re
from collections.abc import Iterator
from typing import Final

from rotation.pins.kinds.file import File
from rotation.pins.tree import Leaf
from rotation.pins.use import Named, Use

#: Such a file may have a name of its own in front: ``orders.secrets.lock.json``.
NAME: Final = re.compile(r"(?:.*\.)?secrets\.lock\.(?:json|ya?ml|toml)", re.IGNORECASE)


def uses(file: File) -> Iterator[Use]:
    """Find the pins of a pins file."""
    if not NAME.fullmatch(file.name):
        return
    for root in file.roots:
        for table in root.branches("secrets"):
            for entry in table.entries:
                node, named = entry.node, Named.read(str(entry.key))
                if isinstance(node, Leaf) and named.project is not None:
                    yield Use("pins-file", named, node.value, node.start, node.end)
