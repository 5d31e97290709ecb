"""The function's real process, in the functions framework, and what it takes.

1. It runs with a small environment of its own, as `rotation.local.stack` runs it.
2. Sizes are those of the process that handles deliveries, as the kernel counts them.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from rotation.local.postgres.server import free_port
from rotation.local.stack.function import FunctionProcess
from tests.bench.lab import Lab

ROOT = Path(__file__).parent.parent.parent
#: Seconds between two looks whether it listens.
_POLL = 0.002
_LIMIT = 60


def command(source: Path, target: str, port: int) -> list[str]:
    """Return the command line of one function."""
    return [
        *(sys.executable, "-m", "functions_framework", "--target", target),
        *("--signature-type", "http", "--source", str(source)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def first_answer(
    source: Path,
    target: str,
    body: bytes,
    environment: Mapping[str, str],
    log: Path,
    authorization: str = "",
) -> float:
    """Return the milliseconds from the start of the process to the first answer of 2xx."""
    port = free_port()
    variables = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "THREADS": "4", **environment}
    with log.open("ab") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command(source, target, port),
            env=variables,
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_listening(port)
            headers = {"content-type": "application/json", "connection": "close"}
            if authorization:
                headers["authorization"] = authorization
            url = f"http://127.0.0.1:{port}/"
            answer = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=_LIMIT)
            taken = (time.perf_counter() - began) * 1000
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert answer.is_success, f"answered {answer.status_code}; see its log"
    return taken


def _await_listening(port: int) -> None:
    ends = time.monotonic() + _LIMIT
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(_POLL)
        else:
            return
    raise AssertionError("the function does not listen")


@contextmanager
def function(
    lab: Lab, *, workers: int = 1, threads: int = 8, **environment: str
) -> Iterator[FunctionProcess]:
    """Run the function while entered."""
    process = FunctionProcess(
        {**lab.environment(), **environment},
        lab.folder / "function.log",
        workers=workers,
        threads=threads,
    )
    process.start()
    try:
        yield process
    finally:
        process.stop()


def worker(process: FunctionProcess) -> int:
    """Return the id of the one process that handles deliveries."""
    ends = time.monotonic() + _LIMIT
    while time.monotonic() < ends:
        for pid in process.children():
            return pid
        time.sleep(_POLL)
    raise AssertionError("the function has no worker")


def resident(pid: int, *, peak: bool = False) -> float:
    """Return the resident size of a process in MiB: now, or the largest so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    field = "VmHWM:" if peak else "VmRSS:"
    return int(status.partition(field)[2].split()[0]) / 1024
