"""What the demo found, as plain data: for a table, or for one JSON object."""

from dataclasses import asdict, dataclass
from typing import Any

from rotation.local.demo.director import Findings, by_method
from rotation.local.demo.result import Result
from rotation.local.demo.world import World


@dataclass(frozen=True, kw_only=True)
class Summary(Result):
    """The whole result."""

    slots: list[dict[str, Any]]
    #: Queries and logins, while nothing was meant to fail and during the emergency.
    routine: dict[str, int]
    emergency: dict[str, int]
    #: Calls of Secret Manager until the next version was in force, by rotation and method.
    calls: dict[str, dict[str, int]]
    #: Seconds from the emergency request to the database's refusal.
    refused_after: float | None

    def lines(self) -> list[str]:
        """Return the table, line by line."""
        rows = [("versions", self.versions_text)]
        for slot in self.slots:
            login = "may log in" if slot["login"] else "may not log in"
            text = f"{login}, {slot['sessions']} sessions, {slot['comment'] or 'no comment'}"
            rows.append((f"slot {slot['slot']}", text))
        rows += [
            ("routine", _work(self.routine)),
            ("emergency", _work(self.emergency) + " (on purpose)"),
        ]
        for rotation, calls in self.calls.items():
            rows.append((f"calls, {rotation}", f"{sum(calls.values())}: {by_method(calls)}"))
        if self.refused_after is not None:
            rows.append(("leaked credential refused", f"after {self.refused_after:.2f} s"))
        width = max(len(name) for name, _ in rows)
        return [f"{name:<{width}}  {value}" for name, value in rows]


def summarize(findings: Findings, world: World, seconds: float) -> Summary:
    """Put together what was found with how things stand now."""
    return Summary(
        claims=tuple(findings.claims),
        versions=world.versions(),
        slots=world.slots(),
        routine=asdict(findings.routine),
        emergency=asdict(findings.emergency),
        calls=findings.calls,
        refused_after=findings.refused_after,
        seconds=round(seconds, 1),
    )


def _work(did: dict[str, int]) -> str:
    return (
        f"{did['queries']} queries, {did['failed_queries']} failed; "
        f"{did['logins']} logins and {did['failed_logins']} refused; "
        f"{did['failed_reads']} failed reads of the credential"
    )
