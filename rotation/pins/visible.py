"""Blanks out of a text what is not a value: comments, and in parsed files keys and punctuation.

The result is as long as the text and has its line ends, so offsets and lines stay the same.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rotation.pins.source import Source
from rotation.pins.tree import Node, Style, leaves

#: A marker's own text; what stands in front of it may then open a comment in any language.
MARKER: Final = re.compile(
    r"\{\s*+\"\$rotation\"\s*+:\s*+\"(?P<json>[^\"\s]{1,400}+)\"\s*+\}"
    r"|(?<![\w:])rotation:secret=(?P<plain>[\w./:-]{1,400}+)"
)
_TOKEN: Final = re.compile(
    r"\"(?:[^\"\\]|\\.)*+(?:\"|$)|'[^']*+'"
    r"|(?:(?<=\s)|^)(?P<span><!--(?:(?!-->).)*+-->|/\*(?:(?!\*/).)*+\*/)"
    r"|(?P<template>\{\{-?\s*+/\*(?:[^*{]|\*(?!/)|\{(?!\{)){0,500}+\*/\s*+-?\}\})"
    r"|(?:(?<=\s)|^)(?P<rest>\#(?!define\b)|//|<!--|/\*"
    r"|(?:--|;++|%++|'|rem|REM|dnl)[ \t]*+(?=\{\s*+\"\$rotation\"|rotation:secret=))"
)
_WORDS: Final = re.compile(r"\S")


def comments(line: str) -> Iterator[tuple[int, int]]:
    """Return where the comments of a line are; what is in quotes is none.

    A quote that does not end on the line hides the rest of it.
    """
    for found in _TOKEN.finditer(line):
        if found["rest"] is not None:
            yield found.start(), len(line)
            return
        if found["span"] is not None or found["template"] is not None:
            yield found.span()


def blanked(text: str) -> str:
    """Return a text with spaces for everything but white space."""
    return _WORDS.sub(" ", text)


def uncommented(text: str) -> str:
    """Return a text with its comments blanked, line by line."""
    return "\n".join(_uncommented_line(line) for line in text.split("\n"))


def visible(source: Source, documents: Sequence[Node] | None) -> str:
    """Return the values of a file and nothing else."""
    if documents is None:
        return uncommented(source.text)
    shown = list(blanked(source.text))
    for document in documents:
        for leaf in {leaf for _, leaf in leaves(document)}:  # aliases repeat them
            text = source.text[leaf.start : leaf.end]
            shown[leaf.start : leaf.end] = uncommented(text) if leaf.style is Style.BLOCK else text
    return "".join(shown)


def _uncommented_line(line: str) -> str:
    for begin, end in comments(line):
        line = line[:begin] + blanked(line[begin:end]) + line[end:]
    return line
