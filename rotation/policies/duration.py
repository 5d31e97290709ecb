"""Durations as people write them: ``90s``, ``10m``, ``24h``, ``7d``, ``1h30m``.

1. Whole numbers with a unit, the largest unit first, each unit at most once.  A bare number has no
   unit and is refused; nothing is ``0s``.
2. Never negative, never longer than a hundred years.
"""

import re
from datetime import timedelta
from typing import Final

#: What a duration must look like, for JSON Schema too.
DURATION_PATTERN: Final = r"^(?=[0-9])([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
LONGEST: Final = timedelta(days=36_500)
_DURATION: Final = re.compile(DURATION_PATTERN.removesuffix("$"))
_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Raises:
        ValueError: The text is not a duration; the message does not quote it.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('expected a duration such as "90s", "10m", "24h", "7d" or "1h30m"')
    numbers = [int(part[:-1]) if part else 0 for part in match.groups()]
    days, hours, minutes, seconds = numbers
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        duration = timedelta.max
    if duration > LONGEST:
        raise ValueError(f"expected a duration of at most {format_duration(LONGEST)}")
    return duration


def format_duration(duration: timedelta) -> str:
    """Spell a duration so that `parse_duration` reads the same; fractions of a second are cut."""
    rest = int(duration.total_seconds())
    parts = []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
