"""Every use of any secret in a file.

Rules of this module:
  1. What names itself (a full name, an item of a list) is found first; a place of a format that
     holds such a name is not a second use.
  2. Uses come in the order of the file, each place once for each secret.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rotation.pins import references
from rotation.pins.kinds import cloud_run, external_secrets, lockfile, terraform, workflows
from rotation.pins.kinds.file import File
from rotation.pins.source import Source
from rotation.pins.tree import Node
from rotation.pins.use import Use
from rotation.pins.visible import visible

_KINDS: Final[tuple[Callable[[File], Iterator[Use]], ...]] = (
    lockfile.uses,
    cloud_run.uses,
    external_secrets.uses,
    terraform.uses,
    workflows.uses,
)


def uses(
    source: Source, documents: Sequence[Node] | None, shown: str | None = None
) -> tuple[Use, ...]:
    """Return all uses in a parsed file, or (``documents`` is None) in a file of lines."""
    text = visible(source, documents) if shown is None else shown
    found = [*references.flags(text), *references.references(text)]
    if documents is not None:
        file = File(source, tuple(documents), text)
        starts = sorted(use.start for use in found if use.names_itself)
        for kind in _KINDS:
            found += (use for use in kind(file) if not _contains_start(use, starts))
    distinct = {(use.start, use.end, str(use.named)): use for use in reversed(found)}
    return tuple(sorted(distinct.values(), key=lambda use: (use.start, use.end)))


def _contains_start(use: Use, starts: Sequence[int]) -> bool:
    """Whether a value that names itself begins within the text of a use."""
    following = bisect_left(starts, use.start)
    return following < len(starts) and starts[following] <= use.end
