"""Moves a pin: splices the number in at its exact place, and proves that nothing else moved.

The proof needs no trust in the places that were found: the file is spliced once more with a number
that stands nowhere in it.  Parsed, that probe shows which values the edit reaches; with the old and
the new number put for it, it must be the file before and the file after, value by value.

Rules of this module:
  1. Bytes outside the places are never written; quotes, comments and line ends stay.
  2. A place that holds neither the previous nor the next version is somebody else's decision.
  3. What cannot be proved is refused.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rotation.pins import parsing
from rotation.pins.errors import AMBIGUOUS, DRIFTED, NOT_FOUND, UNVERIFIED, PinError
from rotation.pins.finding import File, Pin, find, places
from rotation.pins.source import Source
from rotation.pins.tree import Branch, Node, Path, Style, leaves, walk
from rotation.pins.use import Use

#: The value of a pin that was written before there was a version.
NONE_YET = "0"


@dataclass(frozen=True)
class Edit:
    """A new text for a span."""

    start: int
    end: int
    text: str


def repin(content: bytes, path: str, pin: Pin, previous: int | None, next: int) -> bytes:  # noqa: A002 - the word for it
    """Return the file with every place of a pin moved from ``previous`` to ``next``.

    A place that has ``next`` already stays; when all have, the content is returned as it is.

    Args:
        content: The file.
        path: Its name, which stands for the format.
        pin: What to move.
        previous: None: this is the first version; then a place may hold ``0``.
        next: The version to pin.

    Raises:
        PinError: Its reason says why nothing was changed.
    """
    file = File.read(content, path)
    found = places(file, pin)
    if not found:
        raise _nothing(file.source, pin)
    expected = NONE_YET if previous is None else str(previous)
    moving = [finding for finding in found if finding.value != str(next)]
    for use in moving:
        if use.value != expected:
            raise _drifted(file.source, use, expected, str(next))
    if not moving:
        return content
    edits = [Edit(use.start, use.end, str(next)) for use in moving]
    text = spliced(file.source.text, edits)
    _refuse_shared(file, moving)
    prove(file, edits, text)
    after = text.encode()
    if [finding.value for finding in find(after, path, pin)] != [str(next)] * len(found):
        raise unverified(path)
    return after


def spliced(text: str, edits: Sequence[Edit]) -> str:
    """Return a text with every span replaced."""
    parts = []
    at = 0
    for edit in sorted(edits, key=lambda other: other.start):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def prove(file: File, edits: Sequence[Edit], after: str) -> None:
    """Make sure that the edits change the values they replace, and nothing else.

    Raises:
        PinError: They do not.
    """
    if file.documents is None:
        return  # lines only: splicing cannot reach beyond the spans
    source = file.source
    prefix = _absent_number(source.text)
    marks = [f"{prefix}{index:06}" for index in range(len(edits))]
    stand_ins = [Edit(edit.start, edit.end, mark) for edit, mark in zip(edits, marks, strict=True)]
    probe = _values(source, spliced(source.text, stand_ins))
    old = {
        mark: source.text[edit.start : edit.end] for mark, edit in zip(marks, edits, strict=True)
    }
    new = {mark: edit.text for mark, edit in zip(marks, edits, strict=True)}
    if _filled(probe, prefix, old) != _flat(file.documents):
        raise unverified(source.path)
    if _filled(probe, prefix, new) != _values(source, after):
        raise unverified(source.path)


def unverified(path: str) -> PinError:
    """Return the error for an edit that could not be proved."""
    return PinError(
        f"{path} would not change as intended",
        remedy="put the version on a line of its own, as a plain value",
        reason=UNVERIFIED,
    )


Values = list[tuple[Path, Style, str]]


def _values(source: Source, text: str) -> Values:
    try:
        documents = parsing.documents(Source(source.path, text))
    except PinError:
        raise unverified(source.path) from None
    return _flat(documents or ())


def _flat(documents: Sequence[Node]) -> Values:
    return [
        ((number, *path), leaf.style, leaf.value)
        for number, document in enumerate(documents)
        for path, leaf in leaves(document)
    ]


def _filled(probe: Values, prefix: str, texts: Mapping[str, str]) -> Values | None:
    """Put texts for the stand-ins; None when one of them is in no value."""
    stand_in = re.compile(rf"{prefix}[0-9]{{6}}")
    used = set()

    def fill(found: re.Match[str]) -> str:
        used.add(found[0])
        return texts[found[0]]

    filled = [(path, style, stand_in.sub(fill, value)) for path, style, value in probe]
    return filled if used == texts.keys() else None


def _absent_number(text: str) -> str:
    """Return a number that stands nowhere in a text."""
    # Nobody can write a text that holds numbers made from its own digest.
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) + 10**15
    while str(number) in text:
        number += 1
    return str(number)


def _refuse_shared(file: File, moving: Sequence[Use]) -> None:
    """Refuse to move a value that aliases share with somebody else."""
    counts = Counter(_spans(file.documents or ()))
    for use in moving:
        if counts[use.start, use.end] > 1:
            raise PinError(
                f"{file.source.place(use.start)} is shared by an alias",
                remedy="write the version out at each place",
                reason=AMBIGUOUS,
            )


def _spans(documents: Sequence[Node]) -> Iterator[tuple[int, int]]:
    """Return where each value stands; those that are merged in elsewhere (``<<``) once more."""
    for document in documents:
        merged = set()
        for path, leaf in leaves(document):
            yield leaf.start, leaf.end
            if "<<" in path[-2:]:
                merged.add(leaf.value.removeprefix("*"))
        for entry in walk(document):
            node = entry.node
            if isinstance(node, Branch) and node.anchor and node.anchor in merged:
                yield from ((leaf.start, leaf.end) for _, leaf in leaves(node))


def _nothing(source: Source, pin: Pin) -> PinError:
    short = f"{pin.secret.project}/{pin.secret.secret_id}"
    wanted = {
        "marker": f'a comment like # {{"$rotation": "{short}"}}',
        "path": f"a value at {pin.pointer}",
        "resource": "a use of it that says its version",
    }
    return PinError(
        f"{source.path} does not pin {pin.secret}",
        remedy=f"it needs {wanted[pin.locate]}",
        reason=NOT_FOUND,
    )


def _drifted(source: Source, use: Use, previous: str, following: str) -> PinError:
    return PinError(
        f"{source.place(use.start)} has version {use.value}, neither {previous} nor {following}",
        remedy="set it to the version in force; `rotation pin` does that",
        reason=DRIFTED,
    )
