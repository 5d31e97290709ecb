"""The consumer processes of the demo: start them, ask them, deploy to them, end them.

Rules of this module:
  1. A consumer gets a small environment of its own and a session of its own: a Ctrl-C on the
     terminal reaches the demo, and the demo ends them.
  2. An answer that does not come in time is a `DemoError`.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

import rotation
from rotation.local.demo.narrator import DemoError
from rotation.local.demo.wire import Binding, Order, Pace, Report, Roster, Start

#: Four consumers follow the alias, two ``latest``, two are pinned to a number.
BINDINGS: Final[Sequence[Binding]] = (*("current",) * 4, *("latest",) * 2, *("pinned",) * 2)

_MODULE: Final = "rotation.local.demo.client"
_ANSWER_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Member:
    """One consumer."""

    name: str
    binding: Binding
    #: ``host:port`` of a pooler to log in through; empty: where the payload says.
    pooler: str = ""
    pace: Pace = field(default_factory=Pace)

    def start(self, endpoint: str, secret: str, version: int) -> Start:
        """Return what it has to know; a pinned one gets this version."""
        bound = str(version) if self.binding == "pinned" else self.binding
        return Start(self.name, endpoint, secret, bound, self.pooler, self.pace)


class _Process:
    """One process of consumers."""

    def __init__(self, members: Sequence[Member], folder: Path) -> None:
        self.members = members
        self._name = ", ".join(member.name for member in members)
        self._received = bytearray()
        with (folder / "consumers.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                env={
                    "PATH": os.defpath,
                    "LANG": "C.UTF-8",
                    "HOME": str(folder),
                    "PYTHONPATH": str(Path(rotation.__file__).parent.parent),
                },
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,
            )

    def send(self, message: Roster | Order) -> None:
        """Send one message."""
        if self._process.stdin is None:
            raise LookupError("the consumer has no input")
        try:
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        except BrokenPipeError:
            raise self._dead() from None

    def receive(self) -> list[Report]:
        """Return the answer to an order."""
        if self._process.stdout is None:
            raise LookupError("the consumer has no output")
        output, end = self._process.stdout.fileno(), time.monotonic() + _ANSWER_SECONDS
        while b"\n" not in self._received:
            left = max(end - time.monotonic(), 0)
            if not select.select([output], [], [], left)[0]:
                raise DemoError(f"{self._name} did not answer within {_ANSWER_SECONDS:.0f} s")
            part = os.read(output, 65536)
            if not part:
                raise self._dead()
            self._received += part
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received[:] = rest
        return msgspec.json.decode(line, type=list[Report])

    def close_input(self) -> None:
        """Ask it to end."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def end(self) -> None:
        """Wait until it has ended, and make sure."""
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _dead(self) -> DemoError:
        return DemoError(f"{self._name} ended by itself; consumers.log says why")


@dataclass(frozen=True)
class Tally:
    """What all consumers together have done."""

    queries: int = 0
    failed_queries: int = 0
    logins: int = 0
    failed_logins: int = 0
    reads: int = 0
    failed_reads: int = 0

    @classmethod
    def of(cls, report: Report) -> "Tally":
        """Return what one consumer has done."""
        return cls(*(getattr(report, attribute.name) for attribute in fields(cls)))

    def __sub__(self, other: "Tally") -> "Tally":
        return Tally(*(a - b for a, b in zip(self._numbers(), other._numbers(), strict=True)))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(self._numbers(), other._numbers(), strict=True)))

    @property
    def failures(self) -> int:
        """Everything that failed."""
        return self.failed_queries + self.failed_logins + self.failed_reads

    def _numbers(self) -> tuple[int, ...]:
        return tuple(getattr(self, attribute.name) for attribute in fields(self))


@dataclass(frozen=True)
class ConsumerReport:
    """One consumer and what it reports."""

    member: Member
    report: Report

    @property
    def binding(self) -> Binding:
        """What it is bound to."""
        return self.member.binding


class Consumers:
    """All consumers; a context manager that ends them.

    Args:
        folder: Where they work and log.
        processes: Who shares a process; the demo's eight have one each.
    """

    def __init__(self, folder: Path, processes: Sequence[Sequence[Member]] = ()) -> None:
        """Set up; `begin` starts the processes' work."""
        self._folder = folder
        self._groups = processes or [
            [Member(f"consumer-{number}", binding)] for number, binding in enumerate(BINDINGS, 1)
        ]
        self._processes: list[_Process] = []

    def __enter__(self) -> Self:
        # Started now, so that they import while the database is being made.
        try:
            for group in self._groups:
                self._processes.append(_Process(group, self._folder))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process."""
        for process in self._processes:
            process.close_input()
        for process in self._processes:
            process.end()
        self._processes = []

    def begin(self, endpoint: str, secret: str, version: int) -> None:
        """Tell everyone where its credential is; pinned ones get this version."""
        for process in self._processes:
            starts = (member.start(endpoint, secret, version) for member in process.members)
            process.send(Roster(tuple(starts)))

    def reports(self) -> list[ConsumerReport]:
        """Ask everyone."""
        return self._ask({})

    def deploy(self, version: int) -> list[ConsumerReport]:
        """Give the pinned consumers another version number; return everyone's report."""
        members = [member for process in self._processes for member in process.members]
        return self._ask({member.name: version for member in members if member.binding == "pinned"})

    def tally(self) -> Tally:
        """Add up what everyone has done so far."""
        return sum((Tally.of(entry.report) for entry in self.reports()), Tally())

    def _ask(self, pins: dict[str, int]) -> list[ConsumerReport]:
        for process in self._processes:
            process.send(Order(pins))
        return [
            ConsumerReport(member, report)
            for process in self._processes
            for member, report in zip(process.members, process.receive(), strict=True)
        ]
