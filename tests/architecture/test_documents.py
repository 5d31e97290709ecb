from pathlib import Path

import pytest

import rotation
from rotation.generate import documents, states
from rotation.machine.transitions import TRANSITIONS

ROOT = Path(rotation.__file__).parent.parent


def test_generated_parts_are_what_the_code_says() -> None:
    assert documents.stale(ROOT) == []


def test_every_transition_is_drawn() -> None:
    drawing = states.draw()
    for (before, event), after in TRANSITIONS.items():
        assert f"{before.value} --> {after.value}: {event.value}" in drawing


def test_a_changed_drawing_would_be_seen() -> None:
    text = (ROOT / "rotation" / "README.md").read_text()
    assert documents.render(text.replace("engine |", "motor |")) == text


def test_an_unknown_marker_is_an_error() -> None:
    with pytest.raises(KeyError):
        documents.render("<!-- generated: poem -->\n<!-- end -->")
