"""The findings as a table, and as one JSON object."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from tests.drill.findings import DIRECT, POOLED, Findings, by_kind, percentile

#: Stories shown in full; the rest is in the JSON object.
_SHOWN = 40


def as_json(findings: Findings) -> dict[str, Any]:
    """Return everything, as one JSON object."""
    return {
        "held": findings.held,
        "rotations": len(findings.routine_seconds),
        "emergencies": len(findings.emergency_seconds),
        "seconds_per_rotation": _spread(findings.routine_seconds),
        "seconds_per_emergency": _spread(findings.emergency_seconds),
        "held_up_by_evidence": findings.held_up,
        "work": {path: asdict(tally) for path, tally in findings.work.items()},
        "unexpected": by_kind(findings.unexpected),
        "on_purpose": by_kind(story for story in findings.stories if story.on_purpose),
        "first_retry_violations": len(findings.late),
        "seconds_to_refusal": {path: _spread(findings.refusals(path)) for path in (DIRECT, POOLED)},
        "each_to_refusal": {path: findings.refusals(path) for path in (DIRECT, POOLED)},
        "seconds_to_recovery": _spread(findings.recoveries),
        "passwords": findings.passwords,
        "leaks": findings.leaks,
        "searched": findings.searched,
        "faults": findings.faults,
        "stories": [str(story) for story in (*findings.unexpected, *findings.late)],
    }


def as_table(findings: Findings) -> str:
    """Return the table."""
    rows = [
        ("routine rotations", f"{_times(findings.routine_seconds)}"),
        ("", f"asked again {findings.held_up} times while sessions were seen on the old slot"),
        ("emergencies", f"{_times(findings.emergency_seconds)}"),
    ]
    for path, tally in findings.work.items():
        rows.append((path, f"{tally.queries} queries, {tally.logins} logins, {tally.reads} reads"))
    rows.append(("failed, unexpected", _counts(by_kind(findings.unexpected))))
    purpose = by_kind(story for story in findings.stories if story.on_purpose)
    rows.append(("failed on purpose", _counts(purpose)))
    rows.append(("not back at first retry", str(len(findings.late))))
    rows += [
        (f"leak to refusal, {path}", _in_ms(findings.refusals(path))) for path in (DIRECT, POOLED)
    ]
    rows.append(("leak to everybody back", _in_ms(findings.recoveries)))
    size = sum(findings.searched.values()) // 2**20
    places = f"{findings.passwords} in {len(findings.searched)} places, {size} MiB"
    rows.append(
        ("passwords searched for", f"{places}: {'; '.join(findings.leaks) or 'none found'}")
    )
    rows += [("FAULT", fault) for fault in findings.faults]
    stories = [*findings.unexpected, *findings.late][:_SHOWN]
    rows += [("FAILURE", str(story)) for story in stories]
    rows.append(("verdict", "every claim held" if findings.held else "NOT every claim held"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _spread(numbers: Sequence[float]) -> dict[str, float]:
    if not numbers:
        return {}
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(numbers, share), 3) for name, share in shares.items()}


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return f"{len(seconds)}, {median(seconds):.1f} s each (longest {max(seconds):.1f} s)"


def _in_ms(seconds: Sequence[float]) -> str:
    spread = _spread(seconds)
    return ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in spread.items()) or "none"


def _counts(kinds: dict[str, int]) -> str:
    total = sum(kinds.values())
    by_kind = "; ".join(f"{kind}: {count}" for kind, count in kinds.items())
    return f"{total} ({by_kind})" if kinds else "0"
