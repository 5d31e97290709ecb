"""The ``prometheus`` gate under the contract: how it is made, and what it wants to hear."""

from datetime import timedelta
from typing import Any

from rotation.gates.prometheus import PrometheusGate, PrometheusSettings
from rotation.ports.gate import Gate, GateEnvironment

from .subjects import Speaker, samples


def make(url: str, env: GateEnvironment, **more: Any) -> Gate:
    settings = PrometheusSettings(url=url, timeout=timedelta(seconds=1), **more)
    return PrometheusGate(settings, env)


SUBJECT = Speaker(
    make, well=samples("0.5"), hurt=samples("2"), settings={"query": "errors", "max": 1.0}
)
