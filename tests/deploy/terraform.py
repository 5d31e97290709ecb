"""Runs the real Terraform on our module, with stand-in providers that reach nothing.

Decides where Terraform finds its plugins; never what it plans.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "deploy/terraform"

#: Versions that the stand-ins claim: those whose schemas they have.
VERSIONS = {"google": "6.50.0", "google-beta": "6.50.0", "archive": "2.7.1"}


class TerraformError(Exception):
    """Terraform refused; its text says why."""


class Terraform:
    """One working folder with the module and the stand-ins."""

    def __init__(self, folder: Path, root: str = "deploy/terraform") -> None:
        self._home = folder
        self._root = folder / "repository" / root
        _copy(folder / "repository")
        mirror = folder / "mirror"
        config = folder / "terraform.rc"
        config.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TF_CLI_CONFIG_FILE": str(config),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
        }
        origin = mirror / self._origin()
        for name, version in VERSIONS.items():
            _plugin(origin, name, version)
        self.run("init", "-backend=false", "-input=false")

    def _origin(self) -> str:
        """Return where Terraform says a provider without a host comes from."""
        asking = self._home / "origin"
        asking.mkdir()
        source = 'google = { source = "hashicorp/google" }'
        (asking / "main.tf").write_text(f"terraform {{\n  required_providers {{ {source} }}\n}}\n")
        found = re.search(r"provider\[([^/\]]+)/", self.run(f"-chdir={asking}", "providers"))
        assert found is not None
        return found[1]

    @property
    def folder(self) -> Path:
        """Where the root module lies."""
        return self._root

    def run(self, *words: str) -> str:
        """Run one command.

        Raises:
            TerraformError: It failed.
        """
        done = subprocess.run(
            ["terraform", *words],
            cwd=self._root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if done.returncode:
            raise TerraformError(done.stdout + done.stderr)
        return done.stdout

    def plan(self, **variables: Any) -> list[dict[str, Any]]:
        """Return the resources that would be made."""
        given = self._home / "given.tfvars.json"
        given.write_text(json.dumps(variables))
        saved = self._home / "plan"
        self.run("plan", "-input=false", "-no-color", f"-var-file={given}", f"-out={saved}")
        planned = json.loads(self.run("show", "-json", str(saved)))
        return _resources(planned["planned_values"]["root_module"])


def _platform() -> str:
    asked = ["terraform", "version", "-json"]
    environment = {"PATH": os.environ["PATH"], "CHECKPOINT_DISABLE": "1"}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    platform: str = json.loads(done.stdout)["platform"]
    return platform


def _copy(repository: Path) -> None:
    skipped = shutil.ignore_patterns("__pycache__", ".terraform*")
    for name in ("deploy/terraform", "deploy/monitoring", "deploy/generated", "rotation"):
        shutil.copytree(ROOT / name, repository / name, ignore=skipped)
    libraries = ("requirements.txt", "deploy/requirements-git.txt", "deploy/requirements-redis.txt")
    for name in ("main.py", "pyproject.toml", *libraries):
        shutil.copy(ROOT / name, repository / name)


def _plugin(mirror: Path, name: str, version: str) -> None:
    folder = mirror / "hashicorp" / name / version / _platform()
    folder.mkdir(parents=True)
    plugin = folder / f"terraform-provider-{name}_v{version}_x5"
    plugin.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/deploy/standin_provider.py" {name}\n'
    )
    plugin.chmod(0o755)


def _resources(module: dict[str, Any]) -> list[dict[str, Any]]:
    found = [resource for resource in module.get("resources", []) if resource["mode"] == "managed"]
    for child in module.get("child_modules", []):
        found += _resources(child)
    return found
