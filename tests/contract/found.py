"""Contract test subjects, found by being there: ``subject_NAME.py`` is the plugin ``NAME``'s."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType


def subjects_of(kind: str) -> dict[str, ModuleType]:
    """Return the subjects beside the contract suite of a kind, by the plugin's module."""
    folder = Path(__file__).parent / kind
    names = sorted(info.name for info in pkgutil.iter_modules([str(folder)]))
    return {
        name.removeprefix("subject_"): importlib.import_module(f"tests.contract.{kind}.{name}")
        for name in names
        if name.startswith("subject_")
    }
