"""The demo: rotations of every kind under load on the embedded stack, with every claim checked.

1. Nothing is staged: the function, PostgreSQL and the consumers are processes of their own, and
   what is claimed was measured.
2. Nothing waits for a length of time where a condition can be awaited; every wait has a bound.
3. What was started is ended, however the demo ends.
"""

from rotation.local.demo.narrator import Claim, Narrator
from rotation.local.demo.redis import RedisSummary, run_redis_demo
from rotation.local.demo.story import DemoOptions, run_demo
from rotation.local.demo.summary import Summary
from rotation.local.demo.value import ValueSummary, run_value_demo

__all__ = [
    "Claim",
    "DemoOptions",
    "Narrator",
    "RedisSummary",
    "Summary",
    "ValueSummary",
    "run_demo",
    "run_redis_demo",
    "run_value_demo",
]
