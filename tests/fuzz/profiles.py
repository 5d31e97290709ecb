"""How long the hunt takes: a bounded share everywhere, a long one with ``make fuzz``.

Rules of this module:
  1. The bounded share is the same on every run and every machine: derandomized, no database.
  2. The long one (``ROTATION_FUZZ=long``) takes new paths each time, and keeps what it found in
     ``.hypothesis``.
  3. What the long one finds becomes an ``@example`` or a unit test; it is never only a database
     entry.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

LONG = os.environ.get("ROTATION_FUZZ", "") == "long"

#: How many times the long hunt outdoes the bounded one.
_FACTOR = int(os.environ.get("ROTATION_FUZZ_FACTOR", "20"))

#: A fixture that is shared by examples is meant to be; a slow machine is not a defect.
_CALM = (
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.function_scoped_fixture,
)


def examples(count: int, **more: Any) -> Callable[[Any], Any]:
    """Decorate a property with how many examples its bounded share takes."""
    return profile(count, **more)


def profile(count: int, **more: Any) -> settings:
    """Return the settings of a property or a state machine."""
    if LONG:
        return settings(
            max_examples=count * _FACTOR,
            deadline=None,
            print_blob=True,
            suppress_health_check=_CALM,
            **more,
        )
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=_CALM,
        **more,
    )
