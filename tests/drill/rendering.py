"""Renders an exception as error reporters do: the whole chain, every frame with its locals.

More than they do: what ``from None`` hides is rendered too, and what hangs off an exception.
Frames of the tests are left out, since those know the passwords.
"""

from collections.abc import Iterator
from pathlib import Path
from traceback import StackSummary, walk_tb
from typing import Final

_TESTS: Final = str(Path(__file__).parent.parent)


def rendered(error: BaseException) -> str:
    """Return everything an exception gives away."""
    return "\n".join(line for cause in chain(error) for line in _lines(cause))


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that led to it, hidden or not."""
    waiting, visited = [error], set[int]()
    while waiting:
        cause = waiting.pop()
        if id(cause) in visited:
            continue
        visited.add(id(cause))
        yield cause
        waiting += [other for other in (cause.__cause__, cause.__context__) if other is not None]


def _lines(error: BaseException) -> Iterator[str]:
    yield f"{type(error).__name__}: {error}"
    yield repr(error.args)
    yield repr(vars(error))
    frames = StackSummary.extract(walk_tb(error.__traceback__), capture_locals=True)
    for frame in frames:
        if not frame.filename.startswith(_TESTS):
            yield f"{frame.filename}:{frame.lineno} {frame.name} {frame.locals}"
