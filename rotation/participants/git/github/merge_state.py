"""Judges what stands between a pull request and its merge.  Pure.

Rules of this module:
  1. What a rule of the base requires counts, listed or not: a check that never started is missing.
  2. Only a result that will not change by itself refuses: failed, timed out, did not start.
     A cancelled or stale run waits, since somebody cancelled it and can start it again.
  3. A draft is not an obstacle: taking it out is ours to do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rotation.participants.git.host import MergeState, Readiness
from rotation.participants.git.repository import Checks

_GREEN: Final = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_RED: Final = frozenset({"FAILURE", "TIMED_OUT", "STARTUP_FAILURE", "ERROR"})
#: Merge methods in the order of preference, and what of a repository allows them.
_BUTTONS: Final[Mapping[str, str]] = {
    "merge": "allow_merge_commit",
    "squash": "allow_squash_merge",
    "rebase": "allow_rebase_merge",
}


@dataclass(frozen=True)
class Rules:
    """What the base asks for."""

    checks: frozenset[str] = frozenset()
    has_queue: bool = False
    methods: frozenset[str] = field(default=frozenset(_BUTTONS))

    @classmethod
    def read(
        cls, rules: Iterable[Mapping[str, Any]], branch: Mapping[str, Any], about: Mapping[str, Any]
    ) -> "Rules":
        """Read rulesets, the older branch protection, and the repository's merge buttons."""
        checks: set[str] = set()
        methods = {method for method, button in _BUTTONS.items() if about.get(button, True)}
        has_queue = False
        for rule in rules:
            parameters = rule.get("parameters") or {}
            match rule["type"]:
                case "required_status_checks":
                    checks |= {
                        parameter["context"] for parameter in parameters["required_status_checks"]
                    }
                case "pull_request":
                    methods &= set(parameters.get("allowed_merge_methods") or _BUTTONS)
                case "required_linear_history":
                    methods -= {"merge"}
                case "merge_queue":
                    has_queue = True
        protection = branch.get("protection") or {}
        checks |= set((protection.get("required_status_checks") or {}).get("contexts", ()))
        return cls(frozenset(checks), has_queue, frozenset(methods))

    def method(self, wanted: str) -> str:
        """Return the merge method to use; empty when the wanted one is not allowed."""
        usable = [method for method in _BUTTONS if method in self.methods]
        if wanted == "any":
            return usable[0] if usable else ""
        return wanted if wanted in usable else ""


def judge(pull: Mapping[str, Any], rules: Rules, *, wanted: str, checks: Checks) -> MergeState:
    """Say what stands between a pull request and its merge.

    Args:
        pull: The pull request, as the query ``MergeState`` returns it, and its ``checks``.
        rules: What the base asks for.
        wanted: The merge method from the settings.
        checks: Which checks must be green.
    """
    if pull["mergeable"] == "CONFLICTING" or pull["mergeStateStatus"] in ("BEHIND", "DIRTY"):
        return MergeState(Readiness.OUTDATED, "GitHub does not see yet that it fits its base")
    if not rules.method(wanted):
        return MergeState(Readiness.REFUSED, f"its base does not allow the merge method {wanted}")
    if pull["reviewDecision"] == "CHANGES_REQUESTED":
        return MergeState(Readiness.REFUSED, "a reviewer asks for changes")
    red, pending = _checks(pull, rules, checks)
    if red:
        return MergeState(Readiness.REFUSED, f"red: {_listed(red)}")
    if pending:
        return MergeState(Readiness.WAITING, f"checks are not done: {_listed(pending)}")
    if pull["reviewDecision"] == "REVIEW_REQUIRED":
        return MergeState(Readiness.WAITING, "a required review is missing")
    if pull["isInMergeQueue"]:
        return MergeState(Readiness.WAITING, "it is in the merge queue")
    if pull["mergeable"] == "UNKNOWN":
        return MergeState(
            Readiness.WAITING, "GitHub has not yet found out whether it can be merged"
        )
    if pull["mergeStateStatus"] == "BLOCKED" and not pull["isDraft"] and not rules.has_queue:
        return MergeState(Readiness.WAITING, "a rule of its base blocks it; its page says which")
    return MergeState(Readiness.READY)


def _checks(pull: Mapping[str, Any], rules: Rules, checks: Checks) -> tuple[list[str], list[str]]:
    """Return the red and the unfinished among the checks that count."""
    newest: dict[str, Mapping[str, Any]] = {}
    for node in pull["checks"]:
        name = node.get("name") or node["context"]
        if name not in newest or _began(node) >= _began(newest[name]):
            newest[name] = node
    results = {name: _result(node) for name, node in newest.items()}
    counted = rules.checks | {
        name for name, node in newest.items() if checks == "all" or node["isRequired"]
    }
    red = sorted(name for name in counted if results.get(name) in _RED)
    pending = sorted(name for name in counted if results.get(name) not in _RED | _GREEN)
    return red, pending


def _result(node: Mapping[str, Any]) -> str:
    if "context" in node:
        return str(node["state"])
    return str(node["conclusion"]) if node["status"] == "COMPLETED" else ""


def _began(node: Mapping[str, Any]) -> str:
    return str(node.get("startedAt") or node.get("createdAt") or "")


def _listed(names: list[str]) -> str:
    return ", ".join(names)
