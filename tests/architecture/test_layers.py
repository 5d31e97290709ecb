import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import rotation
from rotation.generate.layers import BESIDE, LAYERS, draw

ROOT = Path(rotation.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))
LINTER = Path(sys.executable).with_name("lint-imports")
PROJECT = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
CONTRACTS: dict[str, dict[str, Any]] = {
    contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]
}


def names_in_layers() -> set[str]:
    return {name for layer in LAYERS for name in layer}


def packages() -> set[str]:
    """What is right below the package."""
    return {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINTER, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_imports_point_down() -> None:
    result = linted(ROOT.parent)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("path", "imported", "message"),
    [
        ("model/version.py", "rotation.machine.due", "rotation.model is not allowed"),
        ("engine/outcome.py", "rotation.google.clock", "rotation.engine is not allowed"),
        ("emulator/bodies.py", "rotation.model.names", "rotation.emulator is not allowed"),
        ("cli/views/table.py", "rotation.google.clock", "rotation.cli is not allowed"),
        ("kit/credentials/shapes.py", "rotation.emulator.clock", "rotation.kit is not allowed"),
        ("newcomer.py", "rotation.model.names", "newcomer"),
    ],
)
def test_a_violation_is_seen(tmp_path: Path, path: str, imported: str, message: str) -> None:
    here = tmp_path / "rotation"
    shutil.copytree(ROOT, here, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT.parent / "pyproject.toml", tmp_path)
    with (here / path).open("a") as file:
        file.write(f"import {imported}\n")
    result = linted(tmp_path)
    assert result.returncode == 1
    assert message in re.sub(r"\s+", " ", result.stdout + result.stderr)


def test_the_drawing_and_the_contract_are_the_same() -> None:
    contract = CONTRACTS["layers"]
    assert contract["exhaustive"]
    assert contract["exhaustive_ignores"] == list(BESIDE)
    drawn = [" | ".join(layer) for layer in LAYERS]
    assert contract["layers"] == [line.replace("main |", "__main__ |") for line in drawn]
    assert all(line in draw() for line in drawn)


def test_only_what_exists_is_drawn() -> None:
    assert packages() - {"__main__"} == (names_in_layers() | set(BESIDE)) - {"main"}


def test_the_emulator_is_kept_from_everything_else() -> None:
    others = {f"rotation.{name}" for name in packages() - {"emulator"}}
    assert set(CONTRACTS["emulator"]["forbidden_modules"]) == others


def test_the_function_asks_wiring_for_everything() -> None:
    tree = ast.parse((ROOT.parent / "main.py").read_text())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = {(node.module, name.name) for node in found for name in node.names}
    assert {edge for edge in ours if str(edge[0]).startswith("rotation")} == {
        ("rotation", "wiring")
    }


def test_model_uses_the_standard_library_and_quick_records_only() -> None:
    """Defining a frozen dataclass takes ten times as long as a msgspec.Struct, at every cold start.

    What an application gets with `rotation.client` goes without: tests/unit/client/test_imports.py.
    """
    allowed = {"collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "hmac",
               "json", "re", "typing", "msgspec", "rotation"}  # fmt: skip
    for path in (ROOT / "model").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert {name.split(".")[0] for name in names} <= allowed, path


@pytest.mark.parametrize("banned", ["now(", "time.time", "random", "secrets", "os.", "open("])
def test_the_machine_reads_no_clock_and_does_no_io(banned: str) -> None:
    for path in (ROOT / "machine").glob("*.py"):
        calls = [
            ast.unparse(node.func) + "("
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        ]
        assert not [call for call in calls if call.startswith(banned) or f".{banned}" in call], path


def test_the_engine_names_no_cloud_and_no_plugin() -> None:
    words = ("google", "postgres", "alias_participant")
    for path in (ROOT / "engine").rglob("*.py"):
        text = path.read_text().lower()
        assert not [word for word in words if f"import {word}" in text], path


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []
