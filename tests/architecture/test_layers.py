import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rotation
from rotation.generate.layers import LAYERS, draw, may_import

ROOT = Path(rotation.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))


def names_in_layers() -> set[str]:
    return {name for layer in LAYERS for name in layer}


def package_of(path: Path) -> str:
    top = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return {"__init__": "model", "__main__": "main"}.get(top, top)


def imported_packages(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "rotation":
                names = [f"rotation.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "rotation" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    importer = package_of(path)
    for imported in imported_packages(ast.parse(path.read_text())):
        assert may_import(importer, imported), f"{importer} must not import {imported}"


def test_every_package_is_in_a_layer() -> None:
    packages = {package_of(path) for path in MODULES}
    assert packages <= names_in_layers()


def test_model_uses_the_standard_library_only() -> None:
    allowed = {"collections", "dataclasses", "datetime", "enum", "hashlib", "hmac", "json", "re",
               "typing", "rotation"}  # fmt: skip
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


def test_a_violation_would_be_seen() -> None:
    assert not may_import("model", "machine")
    assert not may_import("engine", "google")
    assert may_import("engine", "machine")


def test_the_drawing_has_every_layer() -> None:
    assert all(" | ".join(layer) in draw() for layer in LAYERS)
