"""What a move changes in the files of one commit.

Rules of this module:
  1. Reads only; the result follows from the commit and the move alone.
  2. The digest names the edit, not the base: by file, which versions become which, and how many.
     Where the base moves around the pins it stays the same; where a pin came, went or was moved
     by somebody else, it does not.
  3. The pins library decides what is a pin; it is imported by the first call.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from rotation.model.errors import PermanentError
from rotation.model.names import SecretName
from rotation.model.plugin import Change
from rotation.participants.git.host import Host
from rotation.participants.git.settings import PinnedFile

if TYPE_CHECKING:
    from rotation.pins import Pin


class UneditableError(PermanentError):
    """A pin cannot be moved as asked.  The participant votes no, or waits."""

    reason = "pin-uneditable"


_WORD: Final = re.compile(rb"\w+|\W")
#: Reasons that mean: somebody else has changed the pin, or taken it away.
SOMEBODY_ELSES = frozenset({"pin-drifted", "pin-not-found", "file-missing"})


@dataclass(frozen=True)
class Edits:
    """Files to change, by path; empty when the pins are where they shall be."""

    before: Mapping[str, bytes] = field(repr=False)
    after: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """Name the edit, independent of its base."""
        moves = [[path, self._moved(path)] for path in sorted(self.after)]
        return f"sha256:{hashlib.sha256(json.dumps(moves).encode()).hexdigest()}"

    def diffs(self) -> Iterator[tuple[str, str]]:
        """Yield path and unified diff of each file."""
        for path in sorted(self.after):
            before, after = (
                content[path].decode(errors="replace").splitlines(keepends=True)
                for content in (self.before, self.after)
            )
            lines = difflib.unified_diff(before, after, f"a/{path}", f"b/{path}")
            yield path, "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)

    def _moved(self, path: str) -> list[tuple[str, str]]:
        lines = zip_longest(
            self.before[path].split(b"\n"), self.after[path].split(b"\n"), fillvalue=b""
        )
        return sorted(_moved_part(old, new) for old, new in lines if old != new)


@dataclass(frozen=True)
class Pins:
    """The pins of one secret in one repository."""

    host: Host
    secret: SecretName
    files: tuple[PinnedFile, ...]
    #: Whether two projects are one: ids and numbers name the same.
    same_project: Callable[[str, str], bool]

    def edits(self, oid: str, change: Change, *, lenient: bool = False) -> Edits:
        """Return what moves the pins of a commit.

        Args:
            oid: The commit.
            change: From which version to which.
            lenient: Leave out the files whose pin somebody else has changed.

        Raises:
            UneditableError: A pin cannot be moved as asked.
        """
        before, after = {}, {}
        for file in self.files:
            try:
                content = self._read(oid, file)
                edited = self._repinned(content, file, change)
            except UneditableError as error:
                if lenient and error.reason in SOMEBODY_ELSES:
                    continue
                raise
            if edited != content:
                before[file.path], after[file.path] = content, edited
        return Edits(before, after)

    def versions(self, oid: str) -> Iterator[tuple[str, str]]:
        """Yield place and version (a number or ``latest``) of each pin of a commit."""
        from rotation import pins  # noqa: PLC0415 - rule 3

        for file in self.files:
            content = self._read(oid, file)
            try:
                found = pins.find(content, file.path, self._pin(file))
            except pins.PinError as error:
                raise _uneditable(file.path, error) from None
            if not found:
                raise UneditableError(f"{file.path}: holds no pin", reason="pin-not-found")
            yield from ((f"{file.path}:{finding.line}", finding.value) for finding in found)

    def _repinned(self, content: bytes, file: PinnedFile, change: Change) -> bytes:
        from rotation import pins  # noqa: PLC0415 - rule 3

        try:
            return pins.repin(
                content, file.path, self._pin(file), previous=change.previous, next=change.next
            )
        except pins.PinError as error:
            raise _uneditable(file.path, error) from None

    def _read(self, oid: str, file: PinnedFile) -> bytes:
        content = self.host.read(oid, file.path)
        if content is None:
            raise UneditableError(
                f"{file.path}: is not in the repository, or not a plain file",
                remedy="write its present path into the policy",
                reason="file-missing",
            )
        return content

    def _pin(self, file: PinnedFile) -> "Pin":
        from rotation import pins  # noqa: PLC0415 - rule 3

        return pins.Pin(
            self.secret, locate=file.locate, pointer=file.pointer, same=self.same_project
        )


def _uneditable(path: str, error: PermanentError) -> UneditableError:
    text = str(error.args[0]) if error.args else error.reason
    named = text if text.startswith(path) else f"{path}: {text}"
    return UneditableError(named, remedy=error.remedy, reason=error.reason)


def _moved_part(old: bytes, new: bytes) -> tuple[str, str]:
    """Return what differs in a line, in whole words; as hexadecimal: files have any encoding."""
    was, is_now = _WORD.findall(old), _WORD.findall(new)
    start = _common(was, is_now)
    was, is_now = was[start:], is_now[start:]
    end = _common(was[::-1], is_now[::-1])
    kept = slice(None, -end or None)
    return b"".join(was[kept]).hex(), b"".join(is_now[kept]).hex()


def _common(one: list[bytes], other: list[bytes]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))
