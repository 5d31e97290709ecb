"""Finds the fenced blocks of the documents, and says how each one is to be run.

The first word of an info string is the language that GitHub paints; the words after it are ours and
no reader sees them.  ``sh`` is run, in the order it is read; see `SHELL` for its words.

Rules of this module:
  1. Every block says what it is: a fence without a language, or with a word nobody knows, is an
     error and never skipped.
  2. A page's blocks are in the order of the page.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rotation

ROOT = Path(rotation.__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "deploy" / "docs"

#: Words that may follow ``sh``.
SHELL = {
    # Run against the recording gcloud and terraform alone: the embedded stack has no such service.
    "cloud",
    # Started, and ended with SIGINT when the next one starts or the story is over.
    "background",
    # Run by the test that `ELSEWHERE` names.
    "elsewhere",
    # Stopped after a few seconds, as a reader would.
    "until-ctrl-c",
}
#: Words of the other languages.  ``output``: lines that the block before must have printed.
WORDS = {
    "sh": SHELL,
    "sql": set[str](),
    "yaml": {"policy", "stages", "fragment", "targets", "on-targets"},
    "json": {"payload", "log"},
    "text": {"output", "picture"},
    "mermaid": set[str](),
    "python": set[str](),
    "diff": set[str](),
    "c": set[str](),
    "toml": set[str](),
    "hcl": set[str](),
}
_GENERATED = "<!-- Generated"
_FENCE = re.compile(r"(?P<indent> *)(?P<marks>`{3,}|~{3,})(?P<info>[^`]*)")
_EXIT = re.compile(r"exit=(\d+)")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    path: Path
    #: Of its first line of text.
    line: int
    #: The nearest heading above, as GitHub's anchor.
    heading: str
    language: str
    words: frozenset[str]
    text: str

    @property
    def page(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def exit_code(self) -> int:
        """What the block says that it ends with."""
        found = [match for word in self.words if (match := _EXIT.fullmatch(word))]
        return int(found[0][1]) if found else 0

    def faults(self) -> Iterator[str]:
        """Say what is unknown about the block."""
        if self.language not in WORDS:
            yield f"{self.place}: no language that is known: {self.language or 'none'}"
            return
        for word in sorted(self.words - WORDS[self.language]):
            if not (self.language == "sh" and _EXIT.fullmatch(word)):
                yield f"{self.place}: a word that is not known: {word}"


def pages() -> list[Path]:
    """Return every page that readers follow: no decisions, and nothing that is generated."""
    found = (path for path in sorted(DOCS.rglob("*.md")) if DOCS / "decisions" not in path.parents)
    return [README, *(path for path in found if not path.read_text().startswith(_GENERATED))]


def blocks(path: Path) -> list[Block]:
    """Return the blocks of one page."""
    return list(parse(path, path.read_text()))


def parse(path: Path, text: str) -> Iterator[Block]:
    """Yield the blocks of a text."""
    lines = iter(enumerate(text.splitlines(), start=1))
    heading = ""
    for number, line in lines:
        if line.startswith("#"):
            heading = anchor(line)
        opening = _FENCE.fullmatch(line)
        if opening is None:
            continue
        indent, marks = len(opening["indent"]), opening["marks"]
        body = []
        for _, inner in lines:
            if inner.strip() == marks:
                break
            body.append(inner[indent:])
        language, *words = opening["info"].split() or [""]
        yield Block(path, number + 1, heading, language, frozenset(words), "\n".join(body) + "\n")


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = heading.lstrip("#").strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
