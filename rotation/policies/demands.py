"""Puts what targets demand above what a policy says: the stricter of both counts.

Decides the times that hold; never refuses anything.

1. What a policy leaves out is demanded as well: leaving out is no way round.
2. Every word that is not the policy's own keeps the line of the targets document it comes from.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from rotation.model.policy import Policy
from rotation.model.target import Demands, Target
from rotation.policies.choosing import places
from rotation.policies.duration import format_duration
from rotation.policies.targets import Targets


def demand(policy: Policy, targets: Targets | None) -> Policy:
    """Return the policy as the targets that it names let it be."""
    for target in _named(policy, targets):
        policy = _stricter(policy, target.demands, f"targets.{target.name}.demands")
    return policy


def longest_age(targets: Targets | None) -> Callable[[str], timedelta | None]:
    """Return what finds the longest age that the targets allow whoever names them.

    It is for thousands of policies at a time, so it reads no policy where no target has a word
    about age, and takes a text that is not a policy for one without targets.
    """
    ages = {target.name: target.demands.max_age for target in targets or ()}
    limits = {name: age for name, age in ages.items() if age is not None}

    def of(text: str) -> timedelta | None:
        if not limits:
            return None
        try:
            named = [choice.get("target") for _, choice in places(json.loads(text))]
        except (ValueError, RecursionError):
            return None
        found = [limits[name] for name in named if isinstance(name, str) and name in limits]
        return min(found, default=None)

    return of


def undercut(policy: Policy, period: timedelta | None) -> str:
    """Say that a schedule asks for rotations less often than a target demands.

    Args:
        policy: With what is demanded of it.
        period: Of the secret's schedule; None: it has none.

    Returns:
        Empty: it does not.
    """
    if policy.max_age is None:
        return ""
    if period is not None and period <= policy.max_age:
        return ""
    line, longest = policy.demanded["max_age"], format_duration(policy.max_age)
    every = f"its schedule is every {format_duration(period)}" if period else "it has no period"
    return f"{line} wants a rotation every {longest}, and {every}; the sweep rotates it then"


def _named(policy: Policy, targets: Targets | None) -> Iterator[Target]:
    if targets is None:
        return
    for choice in policy.choices:
        target = targets.get(choice.target) if choice.target else None
        if target is not None:
            yield target


def _stricter(policy: Policy, demands: Demands, line: str) -> Policy:
    if demands.soak > policy.soak:
        policy = replace(
            policy, soak=demands.soak, demanded={**policy.demanded, "soak": f"{line}.soak"}
        )
    if demands.observe > policy.retire.observe:
        policy = replace(
            policy,
            retire=replace(policy.retire, observe=demands.observe),
            demanded={**policy.demanded, "retire.observe": f"{line}.observe"},
        )
    if demands.max_age and (policy.max_age is None or demands.max_age < policy.max_age):
        policy = replace(
            policy,
            max_age=demands.max_age,
            demanded={**policy.demanded, "max_age": f"{line}.max_age"},
        )
    return policy
