"""Finds the version of one secret in a file.

Rules of this module:
  1. All places of a secret in a file are found together, so that they can move together.
  2. A place whose version is not clear stops the search: half a file is never moved.
"""

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from rotation.model.names import SecretName
from rotation.pins import parsing, pointer, references, uses
from rotation.pins.errors import NOT_FOUND, PinError, quoted
from rotation.pins.markers import Marked
from rotation.pins.source import Source
from rotation.pins.tree import Leaf, Node, Style
from rotation.pins.use import Named, Same, State, Use, state_of
from rotation.pins.visible import visible


@dataclass(frozen=True)
class Pin:
    """Which pin in a file, as configured."""

    secret: SecretName
    locate: Literal["marker", "path", "resource"] = "marker"
    #: For ``path``, see `rotation.pins.pointer`.
    pointer: str = ""
    #: Whether two project names (an id, a number) are one.
    same: Same = field(default=operator.eq, compare=False)


@dataclass(frozen=True)
class Found:
    """One place of a pin."""

    #: A number, ``latest``, an alias, or what stands in for one.
    value: str
    #: In bytes: ``content[start:end]`` is the value.
    start: int
    end: int
    #: From 1.
    line: int
    #: The line as messages quote it.
    quoted: str


@dataclass(frozen=True)
class File:
    """A file, parsed once."""

    source: Source
    #: None: lines only.
    documents: tuple[Node, ...] | None
    visible: str

    @classmethod
    def read(cls, content: bytes, path: str) -> "File":
        """Decode and parse.

        Raises:
            PinError: It cannot be read.
        """
        source = Source.decode(content, path)
        documents = parsing.documents(source)
        return cls(source, documents, visible(source, documents))


def find(content: bytes, path: str, pin: Pin) -> tuple[Found, ...]:
    """Return every place of a pin in a file, in order; empty when there is none.

    Raises:
        PinError: The file cannot be read, or it is not clear what is meant.
    """
    file = File.read(content, path)
    return tuple(_located(file.source, places(file, pin)))


def places(file: File, pin: Pin) -> tuple[Use, ...]:
    """Return every place of a pin in a parsed file.

    Raises:
        PinError: It is not clear what is meant.
    """
    if pin.locate == "path":
        return _at_pointer(file, pin)
    if pin.locate == "resource":
        found: Iterable[Use] = (
            use for use in known_uses(file) if use.named.is_for(pin.secret, pin.same)
        )
    else:
        found = _at_markers(file, pin)
    return _distinct(_with_version(file, use) for use in found)


def marked(file: File) -> Marked:
    """Return the markers of a file."""
    everything = uses.uses(file.source, file.documents, file.visible)
    return Marked(file.source, file.documents, file.visible, everything)


def known_uses(file: File) -> tuple[Use, ...]:
    """Return every use in the known places of a file.

    Where a file has an id or an expression only, a marker says whose secret it is.
    """
    markers = marked(file)
    names: dict[tuple[int, int], Named] = {}
    for marker in markers.markers():
        with suppress(PinError):
            names |= {(use.start, use.end): marker.named for use in markers.uses_of(marker)}
    return tuple(_explained(use, names) for use in markers.everything)


def _explained(use: Use, names: Mapping[tuple[int, int], Named]) -> Use:
    named = names.get((use.start, use.end), use.named)
    return use if use.named.project is not None else replace(use, named=named)


def _at_markers(file: File, pin: Pin) -> Iterable[Use]:
    markers = marked(file)
    for marker in markers.markers():
        if marker.named.is_for(pin.secret, pin.same):
            for use in markers.uses_of(marker):
                if use.named.is_for(pin.secret, pin.same):
                    yield use


def _at_pointer(file: File, pin: Pin) -> tuple[Use, ...]:
    if file.documents is None:
        raise PinError(
            f"{file.source.path} has no structure that a pointer could follow",
            remedy="use a marker",
            reason=NOT_FOUND,
        )
    found = pointer.resolve(file.source, file.documents, pin.pointer)
    return _distinct(use for leaf in found for use in _in_leaf(file, pin, leaf))


def _in_leaf(file: File, pin: Pin, leaf: Leaf) -> Iterable[Use]:
    """Return the version that a value is, or holds."""
    text = file.source.text[leaf.start : leaf.end]
    named = [*references.references(file.visible, leaf.start, leaf.end)]
    named += references.items("path", file.visible, leaf.start, leaf.end)
    ours = [use for use in named if use.named.is_for(pin.secret, pin.same)]
    if ours:
        return [_with_version(file, use) for use in _distinct(ours)]
    is_plain = text == leaf.value and state_of(text) not in {State.UNPINNED, State.INDIRECT}
    if named or not is_plain or leaf.style in {Style.BLOCK, Style.OPAQUE}:
        raise PinError(
            f"{file.source.place(leaf.start)} has no version of {pin.secret} at"
            f" {quoted(pin.pointer)}",
            remedy="point at the value that is the version",
            reason=NOT_FOUND,
        )
    return [Use("path", named_as(pin), text, leaf.start, leaf.end)]


def named_as(pin: Pin) -> Named:
    """Return the pin's secret as a file would name it."""
    return Named(pin.secret.secret_id, pin.secret.project, pin.secret.location)


def _with_version(file: File, use: Use) -> Use:
    if use.value is None:
        raise PinError(
            f"{file.source.place(use.start)} uses {use.named} without a version",
            remedy=f"run: rotation pin {file.source.path} --secret NAME",
            reason=NOT_FOUND,
        )
    return use


def _distinct(found: Iterable[Use]) -> tuple[Use, ...]:
    ordered = sorted(found, key=lambda use: (use.start, use.end))
    return tuple({(use.start, use.end): use for use in ordered}.values())


def _located(source: Source, ordered: Sequence[Use]) -> Iterator[Found]:
    characters = octets = 0
    for use in ordered:
        start = octets + len(source.text[characters : use.start].encode())
        end = start + len(source.text[use.start : use.end].encode())
        characters, octets = use.end, end
        line = source.line_number(use.start)
        yield Found(use.value or "", start, end, line, quoted(source.line(line)))
