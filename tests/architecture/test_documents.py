import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rotation
from rotation.cli.main import main
from rotation.generate import documents, states
from rotation.issuers.postgresql.errors import LOGIN_REMEDIES
from rotation.machine.transitions import TRANSITIONS

ROOT = Path(rotation.__file__).parent.parent


def test_what_is_generated_is_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--check"]) == 0, capsys.readouterr().out


def test_every_transition_is_drawn() -> None:
    drawing = states.draw()
    for (before, event), after in TRANSITIONS.items():
        assert f"{before.value} --> {after.value}: {event.value}" in drawing


def test_a_changed_drawing_would_be_seen() -> None:
    text = (ROOT / "rotation" / "README.md").read_text()
    assert documents.render(text.replace("engine |", "motor |")) == text


def blocking_reasons() -> Iterator[str]:
    """Every reason a `PermanentError` of the engine or an issuer can leave on a secret."""
    for folder in ("engine", "issuers"):
        for path in (ROOT / "rotation" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("PermanentError"):
                    reasons = [word.value for word in node.keywords if word.arg == "reason"]
                    yield from (
                        str(reason.value) for reason in reasons if isinstance(reason, ast.Constant)
                    )
    yield from LOGIN_REMEDIES


def test_every_reason_for_a_block_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    reasons = set(blocking_reasons())
    assert len(reasons) > 10
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in text] == []


def test_an_unknown_marker_is_an_error() -> None:
    with pytest.raises(KeyError):
        documents.render("<!-- generated: poem -->\n<!-- end -->")
