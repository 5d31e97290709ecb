"""The pages for people are whole: links lead somewhere, and nothing of ours is left unmentioned."""

import re
from pathlib import Path

import pytest

from rotation.cli.main import COMMANDS
from rotation.model import errors
from tests.architecture.test_documents import blocking_reasons
from tests.documents.blocks import DOCS, README, ROOT, anchor, pages

_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
_FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
_ID = re.compile(r'<a id="([^"]+)"')


def links(path: Path) -> list[str]:
    return _LINK.findall(_FENCED.sub("", path.read_text()))


def anchors(path: Path) -> set[str]:
    text = _FENCED.sub("", path.read_text())
    return {anchor(line) for line in text.splitlines() if line.startswith("#")} | set(
        _ID.findall(text)
    )


def broken(path: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for link in links(path):
        name, _, fragment = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        is_page = target.suffix == ".md" and target.is_file()
        if not target.exists() or (fragment and is_page and fragment not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize(
    "path", [README, *sorted(DOCS.rglob("*.md"))], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert broken(path) == []


def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](#here) [b](#there) [c](other.md)\n")
    assert broken(page) == ["#there", "other.md"]


def test_every_command_is_on_a_page() -> None:
    text = "\n".join(path.read_text() for path in pages())
    assert [name for name in COMMANDS if f"rotation {name}" not in text] == []


def test_every_variable_is_on_a_page() -> None:
    text = "\n".join(path.read_text() for path in pages())
    named = set(re.findall(r'"((?:ROTATION|PUBSUB|SECRET_MANAGER)_[A-Z_]+)"', _config()))
    assert len(named) > 5
    assert [name for name in sorted(named) if name not in text] == []


def _config() -> str:
    return (ROOT / "rotation" / "config.py").read_text()


def test_every_reason_for_a_block_has_its_section() -> None:
    text = (DOCS / "runbooks" / "blocked.md").read_text()
    permanent = {
        kind.reason
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PermanentError)
    } - {"permanent", "bad-name", "bad-message", "bad-filter", "bad-plugin"}
    reasons = {*blocking_reasons(), *permanent}
    assert len(reasons) > 25
    assert [reason for reason in sorted(reasons) if f"\n### {reason}\n" not in text] == []


def test_every_alert_has_its_runbook() -> None:
    alerts = {path.stem for path in (ROOT / "deploy" / "monitoring" / "alerts").glob("*.json")}
    runbooks = {path.stem for path in (DOCS / "runbooks").glob("*.md")}
    assert alerts == runbooks
