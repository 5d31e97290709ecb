"""Write a plan as numbered files: statements of the issuer, commands for a shell.

Rules of this module:
  1. The statements are the very ones that are run otherwise, in the same transactions.
  2. A file may be run again; one that fails has changed nothing in its failed transaction.
  3. Every line of a comment is a comment, whatever names it holds.
  4. Files are readable by their owner only: one may hold the verifier of a password, and one the
     rotator's new login, which the commands upload and remove.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rotation.model.adoption import AdoptionSpec, Step
from rotation.model.text import one_line

_HEAD_SHELL: Final = '#!/bin/sh\nset -eu\ncd "$(dirname "$0")"\n'


def render(steps: tuple[Step, ...], spec: AdoptionSpec) -> dict[str, str]:
    """Return file names and texts of the steps that are not done."""
    files = {}
    for number, step in enumerate((step for step in steps if not step.done), start=1):
        if step.transactions:
            text = _comment(step, spec.comment) + spec.script(step)
            files[f"{number:02}-{step.name}.{spec.suffix}"] = text
        if step.commands:
            files[f"{number:02}-{step.name}.sh"] = _shell(step)
    return files


def write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write files of mode 0600 into a folder of mode 0700; older ones are replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    for name, text in files.items():
        path = folder / name
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        written.append(path)
    return written


def _comment(step: Step, mark: str) -> str:
    lines = [f"{step.title}.", step.why]
    if step.waits:
        lines.append(f"Not yet: {step.waits}.")
    return "".join(f"{mark} {one_line(line)}\n" for line in lines)


def _shell(step: Step) -> str:
    return _HEAD_SHELL + _comment(step, "#") + "".join(f"{command}\n" for command in step.commands)
