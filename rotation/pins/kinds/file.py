"""One file as the kinds see it."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from rotation.pins.source import Source
from rotation.pins.tree import Branch, Entry, Leaf, Node, Style
from rotation.pins.use import Insertion, Named, Use


@dataclass(frozen=True)
class File:
    """A parsed file and its visible text."""

    source: Source
    documents: tuple[Node, ...]
    visible: str

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.source.path).name

    @property
    def roots(self) -> tuple[Branch, ...]:
        """The documents that are mappings."""
        return tuple(document for document in self.documents if isinstance(document, Branch))

    def use(self, kind: str, name: Leaf, version: Leaf | None, named: Named | None = None) -> Use:
        """Make a use of a name and a version that stand apart."""
        named = named or Named.read(name.value)
        # What is quoted with escapes or over several lines is not a plain version.
        if version is None or self.source.text[version.start : version.end] != version.value:
            return Use(kind, named, None, name.start, name.end)
        return Use(kind, named, version.value, version.start, version.end)

    def insertion(self, branch: Branch, beside: str, key: str, equals: str) -> Insertion | None:
        """Return where a key with a quoted value fits in behind the one called ``beside``."""
        entry = next((candidate for candidate in branch.entries if candidate.key == beside), None)
        if entry is None or not isinstance(entry.node, Leaf):
            return None
        quote = '"'
        if branch.is_flow:
            at = entry.node.end + (entry.node.style is Style.QUOTED)
            name = f'"{key}"' if self.source.text[entry.at] == '"' else key
            return Insertion(at, f", {name}{equals}{quote}", quote)
        return self._line_behind(entry, f"{key}{equals}{quote}", quote)

    def _line_behind(self, entry: Entry, before: str, after: str) -> Insertion | None:
        node = entry.node
        if not isinstance(node, Leaf):
            return None
        number = self.source.line_number(node.end)
        begin, end = self.source.line_span(number)
        key_begin, _ = self.source.line_span(self.source.line_number(entry.at))
        if node.style is Style.BLOCK or key_begin != begin:
            return None
        indent = "".join(
            character if character.isspace() else " "
            for character in self.source.text[begin : entry.at]
        )
        return Insertion(end, f"{self.source.line_end(number)}{indent}{before}", after)
