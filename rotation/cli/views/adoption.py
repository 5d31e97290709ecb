"""How an adoption stands, as ``adopt`` shows it: for programs, and for people.

It reads and changes nothing.  What a statement says that should not be shown, the issuer masks.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from rotation.adopt import plan
from rotation.cli.views.context import printable
from rotation.model.adoption import AdoptionSpec, IssuerPlan, Step
from rotation.model.names import SecretName
from rotation.model.plugin import Finding, Severity

#: What an outcome means, as the last line; {} is the secret's id.
_OUTCOMES: Final = {
    "blocked": "{}: blocked; mend what is named above and run adopt again",
    "nothing-to-do": "{}: is under rotation; nothing to do",
    "planned": "{}: nothing was changed; --apply takes these steps, --out writes them",
    "adopted": "{}: adopted; check it with: rotation doctor {}",
    "waiting": "{}: adopted, but for what waits above; it can be rotated",
}


class AdoptionReport(Struct, frozen=True, kw_only=True):
    """How one adoption stands."""

    secret: SecretName
    #: One of `_OUTCOMES`.
    outcome: str
    found: IssuerPlan
    steps: tuple[Step, ...]
    policy: str
    #: What the deployment's targets document lacks, by name.
    targets: Mapping[str, Any] = field(default_factory=dict)
    #: Commands that give rights in Google Cloud.
    rights: tuple[str, ...]
    spec: AdoptionSpec

    def body(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "secret": str(self.secret),
            "outcome": self.outcome,
            "findings": [
                {
                    "check": finding.check,
                    "severity": finding.severity.value,
                    "message": finding.message,
                    "remedy": finding.remedy,
                }
                for finding in self.found.findings
            ],
            "steps": plan.as_json(self.steps, self.spec),
            "policy": self.policy,
            "targets": dict(self.targets),
            "rights": list(self.rights),
        }

    def text(self) -> str:
        """Return it for people: what is in the way, then every step, then what follows."""
        lines = [line for finding in self.found.findings for line in _finding_lines(finding)]
        for number, step in enumerate(self.steps, start=1):
            lines += self._step_lines(number, step)
        if self.targets:
            lines.append("the targets document needs, before anything rotates:")
            lines += [printable(line) for line in json.dumps(self.targets, indent=2).splitlines()]
        short = self.secret.secret_id
        return "\n".join([*lines, _OUTCOMES[self.outcome].replace("{}", short)])

    def _step_lines(self, number: int, step: Step) -> list[str]:
        state = "done" if step.done else "waits" if step.waits else "to do"
        lines = [f"{number:2} {state:5} {printable(step.title)}"]
        if not step.done and self.outcome == "planned":
            statements = [
                self.spec.masked(statement) for group in step.transactions for statement in group
            ]
            lines += [f"            {printable(line)}" for line in (*statements, *step.commands)]
        if step.waits:
            lines.append(f"         {printable(step.waits)}.")
        return lines


def _finding_lines(finding: Finding) -> list[str]:
    if finding.severity is Severity.OK:
        return []
    mark = "BLOCKED" if finding.severity is Severity.ERROR else "warning"
    remedy = [f"    {printable(finding.remedy)}"] if finding.remedy else []
    return [f"{mark} {finding.check}: {printable(finding.message)}", *remedy]
