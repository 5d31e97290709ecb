"""Uses of secrets that any text can have: full names, flags of gcloud, and its own command.

Rules of this module:
  1. It looks at the visible text of a file: what is a comment or a key is blank.
  2. Of a list (``A=a:3,B=b:7``) each item is a use of its own.
"""

import re
from collections.abc import Iterator
from typing import Final

from rotation.model.names import VERSIONS
from rotation.pins.use import FULL_NAME, TEMPLATE, WORD, Insertion, Named, Use

#: Behind a colon stands a version in gcloud's lists, and a verb in URLs.
_REFERENCE: Final = re.compile(
    rf"(?<![\w-]){FULL_NAME}(?:{VERSIONS}(?P<version>{WORD})"
    rf"|:(?P<short>(?:[0-9]++|latest)(?![\w-])|{TEMPLATE}))"
)
_FLAG: Final = re.compile(r"(?<![\w-])--(?:set|update)-secrets(?:\s*+\\\r?\n|[=\s\"',]){1,80}+")
_ITEM: Final = re.compile(
    rf"(?<![\w./-])(?P<target>[\w./-]{{1,255}}+)=(?P<named>(?:projects/[^/\s,]{{1,200}}+/secrets/)?{WORD})"
    rf"(?:(?::|{VERSIONS})(?P<version>{WORD}))?"
)
_ACCESS: Final = re.compile(rf"secrets\s++versions\s++access\s++[\"']?(?P<version>{WORD})")
_GAP: Final = r"(?:=|\s++)[\"']?"
_OF_SECRET: Final = re.compile(rf"--secret{_GAP}(?P<named>{WORD})")
_OF_PROJECT: Final = re.compile(rf"--project{_GAP}(?P<project>{WORD})")
_COMMAND: Final = re.compile(r"(?:[^\n\\;|&)]|\\\r?\n|\\){0,2000}+")


def references(text: str, start: int = 0, end: int | None = None) -> Iterator[Use]:
    """Find full names with a version."""
    for found in _REFERENCE.finditer(text, start, len(text) if end is None else end):
        group = "short" if found["version"] is None else "version"
        span = found.span(group)
        yield Use("reference", Named.of(found), found[group], *span, names_itself=True)


def flags(text: str) -> Iterator[Use]:
    """Find ``--set-secrets`` and ``--update-secrets``, and the command that reads a version."""
    for flag in _FLAG.finditer(text):
        yield from listed("gcloud", text, flag.end(), len(text))
    for found in _ACCESS.finditer(text):
        command = _COMMAND.match(text, found.end())
        line = command[0] if command else ""
        secret, project = _OF_SECRET.search(line), _OF_PROJECT.search(line)
        if secret:
            named = Named(secret["named"], project["project"] if project else None)
            yield Use("gcloud", named, found["version"], *found.span("version"))


def listed(kind: str, text: str, start: int, end: int) -> Iterator[Use]:
    """Read items that follow each other, separated by commas."""
    while found := _ITEM.match(text, start, end):
        yield _item(kind, found)
        start = found.end()
        if not text.startswith(",", start):
            return
        start += 1


def items(kind: str, text: str, start: int, end: int) -> Iterator[Use]:
    """Find items anywhere in a part of a text, for lists with one on each line."""
    for found in _ITEM.finditer(text, start, end):
        yield _item(kind, found)


def _item(kind: str, found: re.Match[str]) -> Use:
    named = Named.read(found["named"])
    if found["version"] is None:
        insertion = Insertion(found.end(), ":", "")
        return Use(kind, named, None, *found.span("named"), insertion=insertion)
    return Use(kind, named, found["version"], *found.span("version"), names_itself=True)
