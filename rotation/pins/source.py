"""One file as text: decoded, with lines, and with the format that its name stands for.

Rules of this module:
  1. Decoding is exact: what was read, encoded again, is the same bytes.  A byte-order mark stays
     a character of the text.
  2. What is binary, too big or no UTF-8 is refused here, before anything else looks at it.
"""

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from rotation.pins.errors import UNREADABLE, PinError, quoted

MAX_BYTES: Final = 1024 * 1024
BOM: Final = "\ufeff"


class Format(Enum):
    """How a file is parsed."""

    YAML = "yaml"
    JSON = "json"
    TOML = "toml"
    HCL = "hcl"
    DOTENV = "dotenv"
    #: Lines only: scripts, templates, anything else.
    TEXT = "text"


_SUFFIXES: Final = {
    ".yaml": Format.YAML,
    ".yml": Format.YAML,
    ".eyaml": Format.YAML,
    ".json": Format.JSON,
    ".jsonc": Format.JSON,
    ".toml": Format.TOML,
    ".tf": Format.HCL,
    ".tfvars": Format.HCL,
    ".hcl": Format.HCL,
    ".env": Format.DOTENV,
    ".envrc": Format.DOTENV,
}


@dataclass(frozen=True)
class Source:
    """A decoded file."""

    path: str
    text: str

    @classmethod
    def decode(cls, content: bytes, path: str) -> "Source":
        """Decode a file.

        Raises:
            PinError: It is not a text that anybody would pin a version in.
        """
        if len(content) > MAX_BYTES:
            raise _unreadable(path, f"has {len(content)} bytes", f"at most {MAX_BYTES} are read")
        if b"\0" in content:
            raise _unreadable(path, "is binary", "pin versions in a text file")
        try:
            return cls(path, content.decode("utf-8"))
        except UnicodeDecodeError as error:
            where = f"is not UTF-8 at byte {error.start}"
            raise _unreadable(path, where, "save it as UTF-8") from None

    @property
    def format(self) -> Format:
        """The format that the file's name stands for."""
        name = PurePosixPath(self.path).name.lower()
        if name == ".env" or name.startswith(".env."):
            return Format.DOTENV
        return _SUFFIXES.get(PurePosixPath(name or "-").suffix, Format.TEXT)

    @property
    def starts(self) -> int:
        """Where the text begins, behind a byte-order mark."""
        return len(BOM) if self.text.startswith(BOM) else 0

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offset of each line; a line ends with a line feed."""
        starts = [self.starts]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return tuple(starts)

    def line_number(self, offset: int) -> int:
        """Return the number of the line an offset is on, from 1."""
        return max(bisect_right(self.line_starts, offset), 1)

    def line_span(self, number: int) -> tuple[int, int]:
        """Return where a line begins and ends, without its line end."""
        begin = self.line_starts[number - 1]
        end = self.text.find("\n", begin)
        end = len(self.text) if end < 0 else end
        return begin, end - 1 if end > begin and self.text[end - 1] == "\r" else end

    def line_end(self, number: int) -> str:
        """Return what ends a line; of the last one, what ends the line before it."""
        _, end = self.line_span(number)
        if end == len(self.text) and number > 1:
            _, end = self.line_span(number - 1)
        return "\r\n" if self.text[end : end + 1] == "\r" else "\n"

    def line(self, number: int) -> str:
        """Return the text of a line, without its line end."""
        begin, end = self.line_span(number)
        return self.text[begin:end]

    def place(self, offset: int) -> str:
        """Say where an offset is, and quote the line."""
        number = self.line_number(offset)
        return f"{self.path}:{number}: {quoted(self.line(number))}"


def _unreadable(path: str, what: str, remedy: str) -> PinError:
    return PinError(f"{path} {what}", remedy=remedy, reason=UNREADABLE)
