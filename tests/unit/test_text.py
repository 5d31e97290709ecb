"""What does not show as itself is found, and written so that it shows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.model.text import escaped, first_hidden, one_line

HIDDEN = ["\0", "\n", "\r", "\t", "\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\u2029",
          "\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069"]  # fmt: skip


@pytest.mark.parametrize("char", HIDDEN, ids=lambda char: f"{ord(char):04x}")
def test_what_steers_a_reader_is_found(char: str) -> None:
    assert first_hidden(f"a{char}b") == char
    assert first_hidden(f"a{char}b", lines=True) == ("" if char in "\t\r\n" else char)


@pytest.mark.parametrize("text", ["", "orders_a", "Größe 5", "सेवा", "می‌خواهم", "'\"$(x)`\\"])
def test_what_people_write_is_left_alone(text: str) -> None:
    assert first_hidden(text) == ""


def test_what_does_not_show_is_spelled() -> None:
    assert one_line("a\x1b[31m\u202eb\u2028c") == "a\\u001b[31m\\u202eb\\u2028c"
    assert one_line("one\ntwo\r\n\tthree") == "one two   three"
    assert escaped("one\n\ttwo\r") == "one\n\ttwo\\u000d"
    assert escaped("\U000e0001") == "\\udb40\\udc01"


@given(st.text())
def test_the_escape_is_printable_and_escaped_json_is_the_same_json(text: str) -> None:
    assert one_line(text).isprintable()
    document = json.dumps({text: text}, ensure_ascii=False, indent=1)
    assert json.loads(escaped(document)) == {text: text}
