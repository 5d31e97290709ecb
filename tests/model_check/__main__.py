"""``python -m tests.model_check``: walk every path of every scenario within bounds, and say so."""

from __future__ import annotations

import argparse
import sys
import time
from os import cpu_count

from tests.support.shares import Share

from .explore import Report, explore_all, wander
from .scenarios import SCENARIOS, walks
from .state import Bounds

#: Bounds of random paths: wider than could be walked whole.
FAR = Bounds(6, stalls=2, happenings=3)


def main() -> int:
    """Return 0 when no rule was broken."""
    asked = _arguments()
    scenarios = [scenario for scenario in SCENARIOS if asked.scenario in scenario.name]
    began, reports = time.monotonic(), []
    if asked.random:
        found = (wander(scenario, FAR, asked.seed, asked.random) for scenario in scenarios)
    else:
        wanted = [
            (walk, bounds)
            for walk, bounds in walks(wide=asked.full)
            if walk in scenarios and asked.share.takes(f"{walk.name} {bounds}")
        ]
        found = explore_all(wanted, asked.processes)
    for report in found:
        sys.stdout.write(f"{report}\n")
        sys.stdout.flush()
        reports.append(report)
    broken = sum(report.breach is not None for report in reports)
    sys.stdout.write(f"{_summary(reports, broken, time.monotonic() - began)}\n")
    return 1 if broken else 0


def _summary(reports: list[Report], broken: int, seconds: float) -> str:
    states = sum(report.states for report in reports)
    transitions = sum(report.transitions for report in reports)
    return (
        f"{len(reports)} explorations: {states:,} states, {transitions:,} transitions, "
        f"{broken} violations, in {seconds:.0f} s"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.model_check", description=__doc__)
    parser.add_argument("--full", action="store_true", help="wider bounds; takes hours")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="N random paths instead")
    parser.add_argument("--seed", type=int, default=1, help="of the random paths")
    parser.add_argument("--scenario", default="", help="only those whose name contains this")
    parser.add_argument("--share", type=Share.parse, default=Share(), help="K/N of the walks")
    parser.add_argument("--processes", type=int, default=cpu_count() or 1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
