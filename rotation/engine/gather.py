"""Run independent calls side by side.

Rules of this module:
  1. All calls are finished when `Gather` returns, whatever the outcome of each.
  2. What the caller's thread knows, the time left of a delivery above all, the others know, too.
  3. The first error in the order of the calls is raised: put the call that decides first.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any

Call = Callable[[], Any]
Gather = Callable[[Sequence[Call]], list[Any]]


def in_turn(calls: Sequence[Call]) -> list[Any]:
    """Run one call after the other, all of them, and raise the first error."""
    results, errors = [], []
    for call in calls:
        try:
            results.append(call())
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
    if errors:
        raise errors[0]
    return results


class Threads:
    """A `Gather` on a pool of threads that is kept between calls."""

    def __init__(self, size: int = 32) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="gather")

    def __call__(self, calls: Sequence[Call]) -> list[Any]:
        """Run the first call here and the others beside it."""
        first, *others = calls
        futures = [self._pool.submit(copy_context().run, call) for call in others]
        try:
            result = first()
        finally:
            wait(futures)
        return [result, *(future.result() for future in futures)]

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
