"""Adopts a pin: turns ``latest``, an alias or nothing into a number, and places the marker.

Rules of this module:
  1. All uses of the secret in the file are pinned, or none is.
  2. A number that stands there already stays, unless it is to be replaced.
  3. In YAML a plain word becomes a number in quotes, so that text stays text.
  4. A marker is a comment: where it would be anything else, it is left out, and the answer says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from rotation.model.names import SecretName
from rotation.pins.errors import NOT_FOUND, PinError
from rotation.pins.finding import File, known_uses, marked
from rotation.pins.source import Format, Source
from rotation.pins.splicing import Edit, prove, spliced, unverified
from rotation.pins.tree import Leaf, Path, Style, leaves
from rotation.pins.use import Same, State, Use
from rotation.pins.visible import comments

#: Formats whose comments begin with ``#`` and may end a line.
_HASHED: Final = (Format.YAML, Format.TOML, Format.HCL)
_HASHED_SUFFIXES: Final = (".sh", ".bash", ".zsh", ".py", ".rb")
#: YAML inside of a string, which may have comments of its own.
_INNER_YAML: Final = ("parameters", "secrets")


@dataclass(frozen=True)
class Wish:
    """How a secret shall be pinned."""

    secret: SecretName
    version: int
    same: Same
    #: Change other numbers, too.
    replace: bool = False
    marker: bool = True


@dataclass(frozen=True)
class Adopted:
    """What became of a file."""

    content: bytes
    #: Lines with a use of the secret, now pinned.
    lines: tuple[int, ...]
    #: Lines that got no marker although one was wished for.
    unmarked: tuple[int, ...]


def adopt(content: bytes, path: str, wish: Wish) -> Adopted:
    """Return the file with every use of a secret pinned.

    Raises:
        PinError: It does not use the secret, or in a way that cannot be pinned here.
    """
    file = File.read(content, path)
    found = _uses(file, wish)
    if not found:
        raise PinError(
            f"{path} does not use {wish.secret} in a way that is known here",
            remedy="put a marker on the line of the version first; see deploy/docs/pins.md",
            reason=NOT_FOUND,
        )
    edits = [edit for use in found for edit in _edits(file, use, wish)]
    text = _applied(file, edits)
    unmarked: tuple[int, ...] = ()
    if wish.marker:
        text, unmarked = _with_markers(Source(path, text), wish)
    after = File.read(text.encode(), path)
    pinned = _uses(after, wish)
    if len(pinned) != len(found) or any(use.state is not State.PINNED for use in pinned):
        raise unverified(path)
    return Adopted(text.encode(), _lines(after, pinned), unmarked)


def _uses(file: File, wish: Wish) -> tuple[Use, ...]:
    markers = marked(file)
    by_marker = [
        use
        for marker in markers.markers()
        if marker.named.is_for(wish.secret, wish.same)
        for use in markers.uses_of(marker)
    ]
    ours = [
        use for use in [*known_uses(file), *by_marker] if use.named.is_for(wish.secret, wish.same)
    ]
    distinct = {(mark.start, mark.end): mark for mark in reversed(ours)}
    return tuple(distinct[span] for span in sorted(distinct))


def _edits(file: File, use: Use, wish: Wish) -> Iterator[Edit]:
    match use.state:
        case State.PINNED:
            if wish.replace and use.value != str(wish.version):
                yield Edit(use.start, use.end, str(wish.version))
        case State.LATEST | State.ALIAS:
            yield Edit(use.start, use.end, _spelled(file, use, wish.version))
        case State.UNPINNED if use.insertion is not None:
            at, insertion = use.insertion.at, use.insertion
            yield Edit(at, at, f"{insertion.before}{wish.version}{insertion.after}")
        case State.UNPINNED:
            raise _refused(file, use, "says no version", "write one there by hand, then run this")
        case State.INDIRECT | State.UNCLEAR:
            raise _refused(
                file, use, "takes its version from elsewhere", "pin it where the value comes from"
            )


def _refused(file: File, use: Use, what: str, remedy: str) -> PinError:
    return PinError(f"{file.source.place(use.start)} {what}", remedy=remedy, reason=NOT_FOUND)


def _spelled(file: File, use: Use, version: int) -> str:
    if file.source.format is not Format.YAML or use.kind == "pins-file":
        return str(version)
    for _path, leaf in _leaves(file):
        if (leaf.start, leaf.end) == (use.start, use.end) and leaf.style is Style.PLAIN:
            return f'"{version}"'
    return str(version)


def _applied(file: File, edits: Sequence[Edit]) -> str:
    """Splice, and make sure that nothing else has changed."""
    text = spliced(file.source.text, edits)
    kept = [edit for edit in edits if edit.start < edit.end and '"' not in edit.text]
    if len(kept) == len(edits):
        prove(file, edits, text)
        return text
    # Values that are new or get quotes have no counterpart: the others must all be the same.
    changed = {(edit.start, edit.end) for edit in edits}
    before = [leaf.value for _, leaf in _leaves(file) if not _is_changed(leaf, changed)]
    after = File.read(text.encode(), file.source.path)
    fresh = _shifted(edits)
    same = [leaf.value for _, leaf in _leaves(after) if not _is_changed(leaf, fresh)]
    if before != same:
        raise unverified(file.source.path)
    return text


def _is_changed(leaf: Leaf, spans: set[tuple[int, int]]) -> bool:
    return any(leaf.start <= end and start <= leaf.end for start, end in spans)


def _shifted(edits: Sequence[Edit]) -> set[tuple[int, int]]:
    """Return where the new texts stand."""
    spans, moved = set(), 0
    for edit in sorted(edits, key=lambda other: other.start):
        start = edit.start + moved
        spans.add((start, start + len(edit.text)))
        moved += len(edit.text) - (edit.end - edit.start)
    return spans


def _leaves(file: File) -> Iterator[tuple[Path, Leaf]]:
    for document in file.documents or ():
        yield from leaves(document)


def _lines(file: File, found: Sequence[Use]) -> tuple[int, ...]:
    numbers = [file.source.line_number(use.start) for use in found]
    return tuple(dict.fromkeys(numbers))


def _with_markers(source: Source, wish: Wish) -> tuple[str, tuple[int, ...]]:
    """Mark every line that is not marked yet, from the bottom up so that numbers stay."""
    file = File.read(source.text.encode(), source.path)
    markers = marked(file).markers()
    spoken_of = {marker.line for marker in markers if marker.named.is_for(wish.secret, wish.same)}
    text, unmarked = source.text, []
    for number in reversed(_lines(file, _uses(file, wish))):
        if number in spoken_of:
            continue
        edit = _marker(file, number, wish.secret)
        if edit is None:
            unmarked.append(number)
        else:
            text = spliced(text, [edit])
    return text, tuple(reversed(unmarked))


def _marker(file: File, number: int, secret: SecretName) -> Edit | None:
    """Return the edit that marks a line; None where no comment can stand."""
    short = str(secret) if secret.location else f"{secret.project}/{secret.secret_id}"
    text = f'{{"$rotation": "{short}"}}'
    begin, end = file.source.line_span(number)
    if file.source.format is Format.DOTENV:
        return Edit(begin, begin, f"# {text}{file.source.line_end(number)}")
    if not _takes_comment(file, begin, end):
        return None
    line = file.source.line(number)
    is_commented = any(stop == len(line) for _, stop in comments(line))
    edit = Edit(end, end, f" {text}" if is_commented else f"  # {text}")
    return edit if _is_harmless(file, edit) else None


def _takes_comment(file: File, begin: int, end: int) -> bool:
    source = file.source
    before = source.text[:begin].rstrip("\r\n")
    if source.text[begin:end].endswith("\\") or before.endswith("\\"):
        return False
    if source.format is Format.TEXT or file.documents is None:
        return PurePosixPath(source.path).suffix in _HASHED_SUFFIXES
    return source.format in _HASHED


def _is_harmless(file: File, edit: Edit) -> bool:
    """Whether a comment is one, and leaves every value as it was but for YAML's own in a string."""
    text = spliced(file.source.text, [edit])
    try:
        after = File.read(text.encode(), file.source.path)
    except PinError:
        return False
    span = range(edit.start, edit.start + len(edit.text))
    if not any(marker.start in span for marker in marked(after).markers()):
        return False
    return [_compared(path, leaf, "") for path, leaf in _leaves(file)] == [
        _compared(path, leaf, edit.text) for path, leaf in _leaves(after)
    ]


def _compared(path: Path, leaf: Leaf, marker: str) -> tuple[Path, str]:
    is_yaml = leaf.style is Style.BLOCK and path[-2:] == _INNER_YAML
    return path, leaf.value.replace(marker, "", 1) if is_yaml and marker else leaf.value
