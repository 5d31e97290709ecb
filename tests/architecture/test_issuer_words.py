"""What is one system's own is written where it is looked after, and nowhere else."""

import re
from pathlib import Path

import pytest

import rotation

ROOT = Path(rotation.__file__).parent
#: What each system's words are, and which files and folders may say them, and why.
WORDS = {
    "postgresql": re.compile(
        r"postgres|psycopg|\bpg_\w|pgpass|pgpassword|scram\b|scram[-_]|libpq|psql", re.IGNORECASE
    ),
    "redis": re.compile(r"redis|valkey", re.IGNORECASE),
}
ALLOWED = {
    "postgresql": {
        "issuers/postgresql": "the issuer",
        "issuers/_slots/guards.py": "names other programs that manage passwords",
        "client/psycopg.py": "a pool for its driver",
        "client/rotating.py": "names the pools of its driver",
        "local": "the stack on one's own machine has a PostgreSQL",
        "cli/commands/up.py": "starts that stack",
        "cli/commands/demo.py": "plays on that stack",
        "kit/credentials": "shapes of payloads and verifiers, which other systems use too",
        "model/adoption.py": "names of those shapes",
    },
    "redis": {
        "issuers/redis": "the issuer",
        "local": "starts a server for the demo",
        "cli/commands/demo.py": "plays on that server",
    },
}
PLACES = [(system, place) for system, places in ALLOWED.items() for place in places]


def speakers(system: str) -> dict[str, list[str]]:
    """Return the words by file."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        if words := WORDS[system].findall(path.read_text()):
            found[str(path.relative_to(ROOT))] = words
    return found


def is_below(file: str, place: str) -> bool:
    return file == place or file.startswith(f"{place}/")


@pytest.mark.parametrize("system", WORDS)
def test_words_of_one_system_stay_where_it_is_looked_after(system: str) -> None:
    misplaced = {
        file: words
        for file, words in speakers(system).items()
        if not any(is_below(file, place) for place in ALLOWED[system])
    }
    assert misplaced == {}


@pytest.mark.parametrize(("system", "place"), PLACES)
def test_what_is_allowed_is_made_use_of(system: str, place: str) -> None:
    assert any(is_below(file, place) for file in speakers(system))


def test_no_plugin_is_guessed_by_its_attributes() -> None:
    guess = re.compile(r"\b(?:getattr|hasattr)\(\s*(?:\w+\.)*(?:issuer|settings)\b")
    looked = [*(ROOT / "doctor").glob("*.py"), *(ROOT / "gates").glob("*.py")]
    looked += [*(ROOT / "cli").rglob("*.py"), *(ROOT / "engine").glob("*.py")]
    looked += [*(ROOT / "policies").glob("*.py")]
    assert [path.name for path in looked if guess.search(path.read_text())] == []
