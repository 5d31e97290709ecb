"""Decide which version a phase works from, is in force in, and has consumers pointed to.

Rules of this module:
  1. No I/O: what consumers are really pointed to is observed elsewhere and compared with this.
  2. While nobody was handed *next*, and once all were taken back, it is *previous*.
"""

from rotation.model.phase import Phase
from rotation.model.rotation import Record

#: Phases that work from *previous*; ...
_FROM_PREVIOUS = frozenset({Phase.PREPARING, Phase.ABORTING, Phase.REVERTING, Phase.WITHDRAWING})

#: ... and those in which consumers have it, or get it back.
_HAVE_PREVIOUS = _FROM_PREVIOUS | {Phase.VOTING}


def works_from(phase: Phase, record: Record) -> int | None:
    """Return the version a phase works from: the one that stays in force when all goes well."""
    return record.previous if phase in _FROM_PREVIOUS else record.next


def in_force(phase: Phase, record: Record) -> int | None:
    """Return the version that consumers have, or get back."""
    return record.previous if phase in _HAVE_PREVIOUS else record.next
