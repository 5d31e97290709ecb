"""A terminal in a scratch folder, in which a reader pastes one block after the other.

Rules of this module:
  1. A block runs as it is printed, by bash, and stops at its first command that fails.
  2. What a block exports, and the functions it defines, the next one has; what is for Google Cloud
     is pasted into a terminal of its own, so that nothing there points elsewhere later.
  3. `rotation`, `gcloud`, `terraform`, `pip` and `psql` are the first on the path: nothing is
     installed, and nothing of the machine's own configuration of Google is seen.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rotation.local.postgres.binaries import find_bindirs
from tests.documents.blocks import ROOT

PATIENCE = 120.0
#: What the commands of the pages find in the folder the repository was cloned to.
_CLONED = ("deploy", "main.py", "rotation", "pyproject.toml", "README.md", ".gcloudignore")
_POINTERS = ("ROTATION_", "PUBSUB_", "SECRET_MANAGER_", "CLOUDSDK_", "GOOGLE_", "PG")
_SCRIPT = """\
set -euo pipefail
if [ -f "$TERMINAL/$STATE" ]; then . "$TERMINAL/$STATE"; fi
trap '{ export -p; declare -f; } > "$TERMINAL/$STATE"' EXIT
"""


@dataclass(frozen=True)
class Ran:
    """What a block did."""

    code: int
    #: Standard output and standard error, as a reader sees them.
    output: str


@dataclass
class Terminal:
    """One terminal; call `close` at the end."""

    #: Empty, and everybody may enter it: PostgreSQL runs as a user of its own.
    folder: Path
    #: Whether `gcloud secrets` and `gcloud pubsub` are Google's own command.
    own_gcloud: bool
    _background: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _outputs: int = 0

    def __post_init__(self) -> None:
        (self.folder / "work").mkdir(mode=0o755)
        (self.folder / "terminal").mkdir()
        (self.folder / "tmp").mkdir(mode=0o755)
        self._lay_out()

    @property
    def work(self) -> Path:
        """The folder of the reader."""
        return self.folder / "work"

    @property
    def recorded(self) -> Path:
        """One line for each call of the stand-ins for Google Cloud and Terraform."""
        return self.folder / "terminal" / "recorded"

    def run(self, text: str, *, cloud: bool = False) -> Ran:
        """Run one block and wait for it; ``cloud``: nothing reaches the embedded stack."""
        mode = {"STATE": "state"} if not cloud else {"STATE": "cloud", "DOCUMENTS_GCLOUD": "record"}
        done = subprocess.run(
            ["timeout", "--signal=INT", f"{PATIENCE}", "bash", "-c", _SCRIPT + text],
            cwd=self.work,
            env=self._environment() | mode,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout)

    def start(self, text: str) -> None:
        """Run a block until `end`; return when the file it promises is there."""
        self.end()
        self._outputs += 1
        output = self.folder / "terminal" / f"background-{self._outputs}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=self.work,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self._background.append(process)
        ends = time.monotonic() + PATIENCE
        while not (self.work / "stack.env").exists():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < ends, output.read_text()
            time.sleep(0.1)

    def end(self) -> None:
        """Press Ctrl-C where something runs."""
        while self._background:
            process = self._background.pop()
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE) == 0

    def variables(self) -> dict[str, str]:
        """Return what the file of the running stack exports."""
        lines = (self.work / "stack.env").read_text().splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
        return {name: text.strip("'") for name, text in pairs}

    def _environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_POINTERS)}
        return {
            **kept,
            "HOME": str(self.folder),
            "PATH": f"{self.folder / 'bin'}:{kept['PATH']}",
            "TMPDIR": str(self.folder / "tmp"),
            "TERMINAL": str(self.folder / "terminal"),
            "CLOUDSDK_CONFIG": str(self.folder / "terminal"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "DOCUMENTS_GCLOUD": (shutil.which("gcloud") or "") if self.own_gcloud else "",
            "PAGER": "cat",
        }

    def _lay_out(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        module = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m'
        _write(programs / "rotation", f'{module} rotation "$@"')
        for name in ("gcloud", "terraform", "pip"):
            _write(programs / name, f'{module} tests.documents.standins.{name} "$@"')
        _write(programs / "psql", f'exec "{_psql()}" "$@"')
        # What `make setup` makes where the repository was cloned to.
        (self.work / ".venv" / "bin").mkdir(parents=True)
        _write(self.work / ".venv" / "bin" / "rotation", f'{module} rotation "$@"')
        for part in (*_CLONED, *ROOT.glob("require*.txt")):
            (self.work / Path(part).name).symlink_to(ROOT / part)


def _psql() -> Path:
    """Return the psql beside the server that the embedded stack starts, or another one here."""
    beside = (folder.bindir / "psql" for folder in find_bindirs())
    found = next((path for path in beside if path.exists()), shutil.which("psql"))
    assert found, "no psql on this machine"
    return Path(found)


def _write(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
