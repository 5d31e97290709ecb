"""The ``consumers`` gate under the contract: how it is made, and what it wants to hear."""

from datetime import timedelta
from typing import Any

from rotation.gates.consumers import ConsumersGate, ConsumersSettings
from rotation.ports.gate import Gate, GateEnvironment

from .subjects import Speaker, report


def make(url: str, env: GateEnvironment, **more: Any) -> Gate:
    settings = ConsumersSettings(urls=(url,), timeout=timedelta(seconds=1), **more)
    return ConsumersGate(settings, env)


SUBJECT = Speaker(
    make,
    well=report({"version": 7}),
    hurt=report({"version": 6, "failing": {"version": 7, "reason": "refused"}}),
)
