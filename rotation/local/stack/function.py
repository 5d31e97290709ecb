"""The function as a process: `rotation.local.served` in the functions framework, over HTTP.

Rules of this module:
  1. The process gets a small environment of its own; nothing of the caller's leaks in.
  2. Its output, JSON lines, goes to a file that is appended to over restarts.
  3. Processes are ended by their id, the whole group: the framework starts children.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import rotation
from rotation.local.postgres.server import free_port
from rotation.model.errors import PermanentError

_PACKAGE: Final = Path(rotation.__file__).parent
#: The function with what an embedded stack adds: its clock, its caller, places to be killed at.
_SERVED: Final = _PACKAGE / "local" / "served" / "main.py"
#: Seconds the function may take to listen.
_START_LIMIT: Final = 60


class FunctionError(PermanentError):
    """The function process did not start."""

    reason = "function-not-started"


class FunctionProcess:
    """One functions-framework process on a port of 127.0.0.1 that stays the same."""

    def __init__(
        self,
        environment: Mapping[str, str],
        log: Path,
        *,
        workers: int = 1,
        threads: int = 8,
        source: Path = _SERVED,
    ) -> None:
        self.port = free_port()
        self.log = log
        self._source = source
        self._environment = {
            "PATH": os.defpath,
            "HOME": str(log.parent),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(_PACKAGE.parent),
            "WORKERS": str(workers),
            "THREADS": str(threads),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where deliveries are posted."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int | None:
        """Id of the framework's main process; its children do the work."""
        return self._process.pid if self._process else None

    def start(self, **environment: str) -> None:
        """Start, and return when it listens.

        Raises:
            FunctionError: It ended first; the message has the end of its log.
        """
        command = [
            *(sys.executable, "-m", "functions_framework", "--target", "rotate"),
            *("--signature-type", "http", "--source", str(self._source)),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        ]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env={**self._environment, **environment},
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # For whoever finds this process after its stack was killed.
        self.log.with_suffix(".pid").write_text(f"{self._process.pid}\n", encoding="ascii")
        self._await_listening()

    def kill(self) -> None:
        """End every process of the function at once, as a lost machine would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the function in order; may be called twice."""
        self._end(signal.SIGTERM)

    def stopped_children(self) -> Iterator[int]:
        """Yield the ids of processes of the group that are stopped (SIGSTOP)."""
        for pid in self.children():
            state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
            if state == "T":
                yield pid

    def children(self) -> Iterator[int]:
        """Yield the ids of the processes that handle deliveries."""
        if self._process is None:
            return
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(after_name[1]) == self._process.pid:
                yield int(folder.name)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for number in (how, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
            try:
                process.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue
        # A child may outlive the main process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _await_listening(self) -> None:
        end = time.monotonic() + _START_LIMIT
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.kill()
        tail = self.log.read_text(errors="replace")[-800:]
        raise FunctionError(f"the function did not start; the end of {self.log}:\n{tail}")
