"""`python -m tests.drill`: the whole drill, with a table at the end; exit code 0 if it held."""

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.drill import pooler
from tests.drill.run import DrillOptions, run_drill
from tests.drill.table import as_json, as_table


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _ended(_number: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # what was started is ended on the way out


def main() -> int:
    """Run it."""
    signal.signal(signal.SIGTERM, _ended)
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--rotations", type=int, default=200)
    parser.add_argument("--emergencies", type=int, default=50)
    parser.add_argument("--consumers", type=int, default=32)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything found there")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    chosen = parser.parse_args()
    if pooler.PROGRAM is None:
        parser.error(pooler.MISSING)
    options = DrillOptions(
        rotations=chosen.rotations,
        emergencies=chosen.emergencies,
        consumers=chosen.consumers,
        say=_say,
        keep=chosen.keep,
    )
    findings = run_drill(options)
    _say(as_table(findings))
    if chosen.json:
        chosen.json.write_text(json.dumps(as_json(findings), indent=1) + "\n", encoding="utf-8")
    return 0 if findings.held else 1


if __name__ == "__main__":
    sys.exit(main())
