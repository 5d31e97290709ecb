"""What is installed is what the lock names: a library's next release changes nothing here."""

import re
import tomllib
from importlib.metadata import distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.locks import ROOT, locked

LOCKS = {
    "development": "deploy/requirements-dev.txt",
    "fuzzing": "deploy/requirements-fuzz.txt",
    "demo": "deploy/requirements-local.txt",
    "commands": "deploy/requirements-cli.txt",
    "checkov": "deploy/requirements-checkov.txt",
    "function": "requirements.txt",
    "function with pins in Git": "deploy/requirements-git.txt",
    "function with Redis": "deploy/requirements-redis.txt",
}
#: The environment's own, and the project.
NOT_LOCKED = {"pip", "rotation"}


def pins(file: str) -> dict[str, str]:
    return {name: str(requirement.specifier) for name, requirement in locked(file).items()}


def test_what_is_installed_is_what_the_lock_names() -> None:
    lock = locked(LOCKS["development"])
    wanted = {
        name: str(requirement.specifier)
        for name, requirement in lock.items()
        if requirement.marker is None or requirement.marker.evaluate()
    }
    installed = {
        canonicalize_name(distribution.metadata["Name"]): f"=={distribution.version}"
        for distribution in distributions()
    }
    optional = pins(LOCKS["fuzzing"])
    differing = {
        name: (wanted.get(name, optional.get(name)), installed.get(name))
        for name in wanted.keys() | installed.keys() - NOT_LOCKED - optional.keys()
        if wanted.get(name) != installed.get(name)
    }
    assert differing == {}, "locked, installed; `make clean setup` installs what is locked"


@pytest.mark.parametrize("file", LOCKS.values(), ids=list(LOCKS))
def test_every_pin_has_hashes_and_no_address(file: str) -> None:
    text = (ROOT / file).read_text()
    entries = re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert [entry.split("\n")[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_all_locks_are_one() -> None:
    everything = pins(LOCKS["development"])
    for what in ("demo", "commands", "function", "function with pins in Git"):
        assert pins(LOCKS[what]).items() <= everything.items(), what


def test_the_lock_answers_every_requirement_of_the_project() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = document["project"], document["dependency-groups"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    lines = [
        *project["dependencies"],
        *extras,
        *(line for group in groups.values() for line in group),
    ]
    lock = {
        name: pin
        for what in ("checkov", "fuzzing", "development")
        for name, pin in locked(LOCKS[what]).items()
    }
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        if name != "rotation":
            version = Version(str(lock[name].specifier).removeprefix("=="))
            assert version in requirement.specifier, f"{requirement}: `make lock` renews the lock"


def test_setup_installs_from_locks_alone() -> None:
    makefile = (ROOT / "Makefile").read_text()
    install = re.search(r"^INSTALL := (.*)$", makefile, re.MULTILINE)
    assert install
    assert "--require-hashes" in install[1]
    others = [line for line in makefile.splitlines() if "$(PIP)" in line and "INSTALL" not in line]
    # The package itself, with what is there already; and the tool that renews the lock.
    assert {line.split("$(PIP) ")[1] for line in others} == {
        "--no-deps --no-build-isolation --editable .",
        "uv",
    }
