"""Reads the lock files; installs nothing."""

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def locked(file: str) -> dict[str, Requirement]:
    """Return what a lock pins, by the canonical name."""
    text = (ROOT / file).read_text().replace("\\\n", " ")
    lines = [line.partition("--hash")[0] for line in text.splitlines() if re.match(r"\w", line)]
    return {
        canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)
    }
