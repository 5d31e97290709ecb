"""What goes wrong with a pin: one error, told apart by its reason.

Rules of this module:
  1. Every message names the file and the remedy, and where a line is at fault, its number and text.
  2. A quoted line is cut, printable and one line; nothing else of a file is ever quoted.
"""

from typing import Final

from rotation.model.errors import PermanentError

#: Nothing in the file pins the secret, or a use of it has no version.
NOT_FOUND: Final = "pin-not-found"
#: More than one value could be meant.
AMBIGUOUS: Final = "pin-ambiguous"
#: The value is neither the previous nor the next version: somebody else moved it.
DRIFTED: Final = "pin-drifted"
#: Binary, too big, no UTF-8, or not what its name says.
UNREADABLE: Final = "pin-unreadable"
#: The edit would change something else as well.
UNVERIFIED: Final = "pin-unverified"

REASONS: Final = (NOT_FOUND, AMBIGUOUS, DRIFTED, UNREADABLE, UNVERIFIED)

_QUOTED: Final = 120


class PinError(PermanentError):
    """A pin cannot be read or moved.  The participant votes no; nothing was changed."""

    reason = NOT_FOUND


def quoted(line: str) -> str:
    """Return a line as messages quote it."""
    shown = "".join(character if character.isprintable() else " " for character in line.strip())
    return f"`{shown[:_QUOTED]}{'...' if len(shown) > _QUOTED else ''}`"
