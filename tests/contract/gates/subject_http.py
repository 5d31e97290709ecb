"""The ``http`` gate under the contract: how it is made, and what it wants to hear."""

from datetime import timedelta
from typing import Any

from rotation.gates.http import HttpGate, HttpSettings
from rotation.ports.gate import Gate, GateEnvironment

from .subjects import Speaker


def make(url: str, env: GateEnvironment, **more: Any) -> Gate:
    return HttpGate(HttpSettings(url=url, timeout=timedelta(seconds=1), **more), env)


SUBJECT = Speaker(
    make,
    well=b'{"status": "ok"}',
    hurt=b'{"status": "broken"}',
    settings={"body": {"/status": "ok"}},
)
