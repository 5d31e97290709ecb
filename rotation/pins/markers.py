"""Markers: comments that say whose version stands on a line.

::

    key: "3"  # {"$rotation": "acme/orders"}
    // rotation:secret=projects/acme/secrets/orders
    version = "3"

Rules of this module:
  1. A marker is (part of) a comment.  It speaks of its own line, or, alone on a line, of the next
     line that is more than a marker.
  2. What names the secret itself goes first; only without that a value is taken by position.  It
     must stand alone and be the only one: a number inside something else is not a version.
  3. What is not clear is reported with its line, never guessed.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, takewhile
from typing import Final

from rotation.pins.errors import AMBIGUOUS, NOT_FOUND, UNREADABLE, PinError
from rotation.pins.source import Source
from rotation.pins.tree import Leaf, Node, leaves
from rotation.pins.use import WORD, Named, Use
from rotation.pins.visible import MARKER, comments

#: Nobody pins more in one file.
MAX_MARKERS: Final = 1000
_ALONE: Final = re.compile(
    r"(?:(?<=[\s=\"'\[({,])|^)(?:[0-9]{1,19}+|latest)(?=[\s\"'\])},;]|$)", re.ASCII
)
_WORD_BEHIND_KEY: Final = re.compile(
    r"[:=]\s*+([\"']?)(?P<word>[A-Za-z][\w-]{0,62}+)\1\s*+[,;]?\s*+$", re.ASCII
)
_SHORT: Final = re.compile(r"(?P<project>[a-z0-9][a-z0-9:.-]*+)/(?P<secret>[A-Za-z0-9_-]{1,255}+)")


@dataclass(frozen=True)
class Marker:
    """One marker."""

    named: Named
    #: Of the marker's own text.
    start: int
    #: Number of the line it speaks of; None when there is none.
    line: int | None


@dataclass(frozen=True)
class Marked:
    """A file whose markers are looked for."""

    source: Source
    documents: Sequence[Node] | None
    visible: str
    #: All uses in known places, in order.
    everything: Sequence[Use]

    @cached_property
    def self_naming(self) -> tuple[Use, ...]:
        """What names its secret itself."""
        return tuple(use for use in self.everything if use.names_itself)

    def markers(self) -> tuple[Marker, ...]:
        """Return all markers in the order of the file.

        Raises:
            PinError: There are too many.
        """
        if not MARKER.search(self.source.text):
            return ()
        found = tuple(islice(self._all(), MAX_MARKERS + 1))
        if len(found) > MAX_MARKERS:
            raise PinError(
                f"{self.source.path} has more than {MAX_MARKERS} markers",
                remedy="split the file",
                reason=UNREADABLE,
            )
        return found

    def uses_of(self, marker: Marker) -> tuple[Use, ...]:
        """Return what a marker speaks of.

        Raises:
            PinError: Nothing on the line can be meant, or more than one value.
        """
        if marker.line is None:
            raise self._not_found(marker.start, "marks no line")
        begin, end = self.source.line_span(marker.line)
        first = bisect_left(self.self_naming, begin, key=_start)
        last = bisect_left(self.self_naming, end, key=_start)
        here = self.self_naming[first:last]
        named = [use for use in here if _is_same(use.named, marker.named)]
        listed = tuple(self._short(marker, begin, end))
        if named or listed:
            spans = {(use.start, use.end) for use in named}
            return (*named, *(use for use in listed if (use.start, use.end) not in spans))
        if here:
            raise self._not_found(begin, f"names other secrets, and not {marker.named}")
        return (self._by_position(marker, begin, end),)

    def _all(self) -> Iterator[Marker]:
        total = len(self.source.line_starts)
        for number in range(1, total + 1):
            begin, _ = self.source.line_span(number)
            line = self.source.line(number)
            for found in self._in_comments(line, begin):
                named = _named(found["json"] or found["plain"])
                target = self._target(number)
                yield Marker(named, begin + found.start(), target)

    def _in_comments(self, line: str, begin: int) -> Iterator[re.Match[str]]:
        if not MARKER.search(line):
            return
        for start, end in comments(line):
            for found in MARKER.finditer(line, start, end):
                if not self._is_value(begin + found.start()):
                    yield found

    def _is_value(self, offset: int) -> bool:
        return self.documents is not None and not self.visible[offset].isspace()

    @cached_property
    def _flat(self) -> tuple[Leaf, ...]:
        """The values in the order of the file."""
        found = [leaf for document in self.documents or () for _, leaf in leaves(document)]
        return tuple(sorted(found, key=_start))

    def _target(self, number: int) -> int | None:
        if not _is_bare(self.source.line(number)):
            return number
        for following in range(number + 1, len(self.source.line_starts) + 1):
            line = self.source.line(following)
            if not line.strip():
                return None
            if not (_is_bare(line) and MARKER.search(line)):
                return following
        return None

    def _short(self, marker: Marker, begin: int, end: int) -> Iterator[Use]:
        """Find ``secret:version`` in lists that nothing else explains."""
        name = re.escape(marker.named.secret_id)
        pattern = re.compile(rf"(?:(?<=[=,\"'\s])|^){name}:(?P<version>{WORD})(?=[\s,\"'\])}}]|$)")
        for found in pattern.finditer(self.visible, begin, end):
            span = found.span("version")
            yield Use("marker", marker.named, found["version"], *span, names_itself=True)

    def _by_position(self, marker: Marker, begin: int, end: int) -> Use:
        # A view of the line alone, so that its edges are edges.
        line = self.visible[begin:end]
        found = [match.span() for match in _ALONE.finditer(line)]
        if len(found) > 1:
            values = ", ".join(line[first:last] for first, last in found[:5])
            raise PinError(
                f"{self.source.place(begin)} has several values that could be the version of"
                f" {marker.named}: {values}",
                remedy="put the version on a line of its own, or give a pointer",
                reason=AMBIGUOUS,
            )
        span = found[0] if found else self._alias(line, begin, end)
        if span is None:
            raise self._not_found(begin, f"has no version of {marker.named}")
        first, last = begin + span[0], begin + span[1]
        return Use("marker", marker.named, self.source.text[first:last], first, last)

    def _alias(self, line: str, begin: int, end: int) -> tuple[int, int] | None:
        """Return where a word stands that can only be an alias."""
        if self.documents is None:
            found = _WORD_BEHIND_KEY.search(line)
            return found.span("word") if found else None
        first = bisect_left(self._flat, begin, key=_start)
        inside = list(takewhile(lambda leaf: leaf.end <= end, islice(self._flat, first, None)))
        words = {(leaf.start, leaf.end) for leaf in inside if _is_word(leaf)}
        if len(inside) != 1 or len(words) != 1:
            return None
        start, stop = words.pop()
        return start - begin, stop - begin

    def _not_found(self, offset: int, what: str) -> PinError:
        return PinError(
            f"{self.source.place(offset)} {what}",
            remedy="put the marker on the line of the version, or alone on the line before",
            reason=NOT_FOUND,
        )


def _named(text: str) -> Named:
    found = _SHORT.fullmatch(text)
    return Named(found["secret"], found["project"]) if found else Named.read(text)


def _is_same(one: Named, marker: Named) -> bool:
    """Whether a name on the line is the marked one; projects may be spelled in two ways."""
    return one.secret_id == marker.secret_id


def _is_bare(line: str) -> bool:
    """Whether a line is nothing but a comment."""
    rest = line
    for begin, end in comments(line):
        rest = rest[:begin] + " " * (end - begin) + rest[end:]
    return bool(line.strip()) and not rest.strip()


def _start(thing: Leaf | Use) -> int:
    return thing.start


def _is_word(leaf: Leaf) -> bool:
    return re.fullmatch(r"[A-Za-z][\w-]{0,62}", leaf.value, re.ASCII) is not None
