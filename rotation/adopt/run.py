"""Take the steps of an adoption one after another, each after a new look at the world.

Rules of this module:
  1. The next step is the first that is not done; nothing is remembered between two looks.
  2. A step that was taken a few times and is still not done stops the run: somebody works against
     it.  One that waits is taken once, and the rest goes on without it.
  3. Being killed anywhere is harmless: run again.
"""

from collections import Counter
from collections.abc import Callable

from rotation.model.adoption import Step
from rotation.model.errors import TemporaryError

#: Times one step is taken in one run: an application may create as fast as we hand over.
TIMES = 5


def run(look: Callable[[], tuple[Step, ...]], take: Callable[[Step], None]) -> tuple[Step, ...]:
    """Take every step that is owed; return all of them as they stand at the end.

    Raises:
        TemporaryError: A step does not stay done.
    """
    taken: Counter[str] = Counter()
    while True:
        steps = look()
        owed = [step for step in steps if not step.done]
        ready = [step for step in owed if not (step.waits and taken[step.name])]
        if not ready:
            return steps
        step = ready[0]
        if taken[step.name] >= TIMES:
            raise TemporaryError(
                f"the step {step.name} was taken {TIMES} times and is not done",
                remedy="does somebody else change the same? Then run adopt again",
            )
        take(step)
        taken[step.name] += 1
