"""Measure what the product costs: ``python -m tests.bench [GROUP ...] [--quick] [--json FILE]``.

1. Each group is a module with ``measure``; it starts what it measures against, and ends it.
2. A goalpost missed is a figure like any other: the exit code says only whether it was measured.
"""

import argparse
import contextlib
import importlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final, TextIO

from rotation.local.postgres.binaries import choose
from tests.bench.figures import MET, NO_GOALPOST, Figure, table

GROUPS: Final[Mapping[str, str]] = {
    "costs": "one rotation: calls, logins, round trips",
    "times": "one rotation: wall time and CPU",
    "throughput": "one instance: rotations a second",
    "cold": "cold start of the function's process",
    "memory": "memory of the function's process",
    "sweep": "many secrets",
    "mass": "1,000 secrets at once, at Google's quotas",
    "emergency": "1,000 emergencies at once, at Google's quotas",
}
#: The groups whose figures are counts, the same on every machine.
COUNTED: Final = ("costs", "sweep")
_LIBRARIES: Final = (
    *("google-cloud-secret-manager", "grpcio", "protobuf", "functions-framework", "psycopg"),
)


def main() -> None:
    """Measure the groups asked for and print the table."""
    # Whatever was started is ended, also when somebody ends the bench.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = _arguments()
    print(_setting(), flush=True)
    with tempfile.TemporaryFile("w") as journal:
        figures = list(_measured(asked.groups, journal, quick=asked.quick))
    print(f"\n{table(figures)}\n\n{_summary(figures)}")
    if asked.json:
        report = {"setting": _setting(), "figures": [figure.as_json() for figure in figures]}
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--quick", action="store_true", help="only what is counted, fewer runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    asked = parser.parse_args()
    if unknown := set(asked.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; known: {', '.join(GROUPS)}")
    asked.groups = asked.groups or (COUNTED if asked.quick else tuple(GROUPS))
    return asked


def _measured(groups: list[str], journal: TextIO, *, quick: bool) -> Iterator[Figure]:
    for group in groups:
        began = time.monotonic()
        print(f"{group} ...", end=" ", flush=True, file=sys.stderr)
        # What the function would write to its log.
        with contextlib.redirect_stdout(journal):
            module = importlib.import_module(f"tests.bench.{group}")
            figures = [
                replace(figure, group=GROUPS[group]) for figure in module.measure(quick=quick)
            ]
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
        yield from figures


def _setting() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%MZ}, {os.cpu_count()} cores, load {load:.1f},"
        f" Python {platform.python_version()}, PostgreSQL {choose(None, tls=False).version},"
        f" {libraries}"
    )


def _summary(figures: list[Figure]) -> str:
    verdicts = [figure.verdict for figure in figures if figure.verdict != NO_GOALPOST]
    missed = [
        f"{figure.name}: {figure.verdict}" for figure in figures if "missed" in figure.verdict
    ]
    summary = f"{verdicts.count(MET)} of {len(verdicts)} goalposts met"
    return "\n  ".join([summary, *missed])


if __name__ == "__main__":
    main()
