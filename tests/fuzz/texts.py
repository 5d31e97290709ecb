"""Strategies for what somebody may send or have stored: JSON, near-JSON, and plain bytes.

Rules of this module:
  1. Everything JSON can spell is drawn, also what it should not: lone surrogates, ``NaN``, numbers
     of thousands of digits, keys twice, nesting beyond any stack.
  2. `mutated` stays near a real message: most defects hide one step beside what is expected.
"""

import json
import math
from typing import Any

from hypothesis import strategies as st

#: Text with every character there is, halves of characters included.
any_text = st.text(st.characters(exclude_categories=()), max_size=40)
#: Text that UTF-8 can carry.
sound_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**40]),
    st.floats(),
    any_text,
)
#: A value of the shape JSON has.
json_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(any_text | st.sampled_from(["message", "attributes", "kind"]), inner)
    ),
    max_leaves=12,
)

#: Texts a parser of JSON meets once in its life.
HOSTILE = (
    "",
    " ",
    "\ufeff{}",
    "{",
    "[" * 5000,
    '{"a":' * 5000,
    "[" * 900 + "]" * 900,
    "9" * 5000,
    "-" + "9" * 5000,
    "1e999999",
    "NaN",
    "-Infinity",
    '"\\ud800"',
    '{"a": 1, "a": 2}',
    '{"\\ud800": 1}',
    "null",
    "\x00",
)


def dumped(value: Any) -> str:
    """Spell a value as JSON, with ``NaN`` and halves of characters where it has them."""
    return json.dumps(value)


@st.composite
def mutated(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Draw a real message with a few bytes changed, cut or doubled."""
    text = draw(originals)
    for _ in range(draw(st.integers(0, 3))):
        if not text:
            break
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start, min(len(text), start + 12)))
        piece = draw(
            st.sampled_from(
                [b"", text[start:end] * 2, b'"', b"{", b"}", b"null", b"[]", b"\\ud800"]
            )
            | st.binary(max_size=4)
        )
        text = text[:start] + piece + text[end:]
    return text


def same(left: Any, right: Any) -> bool:
    """Compare JSON values; NaN is itself."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and bool(left == right)
