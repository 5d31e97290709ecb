import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rotation

ROOT = Path(rotation.__file__).parent

#: Words with a better one in this code, by the one it uses.
WORDS = {
    "rollback": "revert (after a commit) or abort (before)",
    "undo": "revert or restore",
    "provision": "mint",
    "smoke": "verify",
    "cooldown": "soak",
    "deactivate": "suspend",
    "reactivate": "restore",
    "nonce": "token",
    "mutex": "lease",
    "janitor": "sweep",
    "cron": "sweep",
    "invalidate": "revoke",
    "orchestrator": "worker",
    "mismatched": "drift",
    "stray": "orphan",
    "each": "the thing's own name",
    "told": "the thing's own name, such as message",
    "said": "the thing's own name, such as reply",
    "heard": "the thing's own name, such as request",
    "sight": "observation, or what was observed",
    "sighting": "the use that was found",
}


def identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.name)
def test_names_use_one_word_for_one_thing(path: Path) -> None:
    for name in identifiers(ast.parse(path.read_text())):
        for word in words(name) & WORDS.keys():
            pytest.fail(f"{path}: {name}: say {WORDS[word]} instead of {word}")


def test_a_wrong_word_is_found() -> None:
    found = set(identifiers(ast.parse("def rollbackNow(told): stray_left = 1")))
    assert set().union(*map(words, found)) & WORDS.keys() == {"rollback", "told", "stray"}
