"""What a file uses, for people who want to know: every use of every secret, pinned or not.

Rules of this module:
  1. Nothing is refused that can be shown: a file that no parser takes is looked at line by line,
     and a marker whose version is not clear is a use that is unclear.
  2. A use that a marker speaks of is one use, not two.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rotation.pins import parsing
from rotation.pins.errors import PinError
from rotation.pins.finding import File, known_uses, marked
from rotation.pins.markers import Marked
from rotation.pins.source import Source
from rotation.pins.use import Use
from rotation.pins.visible import visible


@dataclass(frozen=True)
class LocatedUse:
    """A use, and where it stands."""

    use: Use
    #: From 1, in characters.
    line: int
    column: int
    #: Whether a marker speaks of it.
    is_marked: bool


def survey(content: bytes, path: str) -> tuple[LocatedUse, ...]:
    """Return all uses of secrets in a file, in order.

    Raises:
        PinError: It is not a text.
    """
    file = _readable(content, path)
    everything = known_uses(file)
    by_marker = tuple(_marked_uses(marked(file)))
    spoken_of = {(use.start, use.end) for use in by_marker}
    known = {(use.start, use.end) for use in everything}
    more = [use for use in by_marker if (use.start, use.end) not in known]
    ordered = sorted([*everything, *more], key=lambda use: (use.start, use.end))
    return tuple(_located(file.source, use, spoken_of) for use in ordered)


def _readable(content: bytes, path: str) -> File:
    source = Source.decode(content, path)
    try:
        documents = parsing.documents(source)
    except PinError:
        documents = None
    return File(source, documents, visible(source, documents))


def _marked_uses(file: Marked) -> Iterator[Use]:
    for marker in file.markers():
        try:
            yield from file.uses_of(marker)
        except PinError as error:
            start = marker.start
            yield Use("marker", marker.named, None, start, start + 1, fault=str(error))


def _located(source: Source, use: Use, spoken_of: set[tuple[int, int]]) -> LocatedUse:
    line = source.line_number(use.start)
    begin, _ = source.line_span(line)
    return LocatedUse(use, line, use.start - begin + 1, (use.start, use.end) in spoken_of)
