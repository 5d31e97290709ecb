"""Text for people about what a gate saw; never the text of a stranger at full length.

Rules of this module:
  1. What came from outside is cut, and what is not printable is replaced: evidence is stored on the
     secret and shown on terminals.
  2. A list names the first few and counts the rest.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from rotation.model.errors import RotationError

_LONGEST_NAME: Final = 60
_LONGEST_REASON: Final = 300
_MOST_NAMES: Final = 5
#: Of a name of our own policy.
_LONGEST_PLACE: Final = 160


def printable(text: str, longest: int = _LONGEST_NAME) -> str:
    """Return a stranger's text as far as it can be shown."""
    shown = "".join(char if char.isprintable() else "?" for char in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def reason_of(error: RotationError) -> str:
    """Return what one of our errors says, as part of a sentence."""
    return printable(str(error), _LONGEST_REASON)


def listed(names: Collection[str], most: int = _MOST_NAMES) -> str:
    """Name the first few, and count the rest."""
    shown = [printable(name, _LONGEST_PLACE) for name in list(names)[:most]]
    rest = len(names) - len(shown)
    return ", ".join([*shown, *([f"{rest} more"] if rest else [])])


def tallied(names: Iterable[str]) -> str:
    """Name the most frequent ones with their numbers, and count the rest."""
    counts = Counter(printable(name) or "unnamed" for name in names)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return listed([name if count == 1 else f"{name} ({count})" for name, count in ranked])


def counted(number: int, noun: str) -> str:
    """Spell a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
