"""Run asynchronous servers on a thread of their own, for callers that have no event loop.

1. The loop lives exactly as long as the block; leaving it waits until everything is closed.
2. An error while starting is raised to the caller; nothing is left running.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Generic, TypeVar

Served = TypeVar("Served")
Result = TypeVar("Result")


class Background(Generic[Served]):
    """What runs on the other thread, and the way to it."""

    def __init__(self, served: Served, loop: asyncio.AbstractEventLoop) -> None:
        #: The object the asynchronous context manager returned; touch it only through `call`.
        self.served = served
        self._loop = loop

    def call(self, function: Callable[[Served], Awaitable[Result] | Result]) -> Result:
        """Run a function on the loop's thread and return what it returns or awaits."""

        async def run() -> Result:
            result = function(self.served)
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextmanager
def serve_in_background(
    make: Callable[[], AbstractAsyncContextManager[Served]],
) -> Iterator[Background[Served]]:
    """Enter an asynchronous context manager on a thread of its own.

    Args:
        make: Called on that thread, inside its running loop.
    """
    started: Future[tuple[Served, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        async with make() as served:
            stop = asyncio.Event()
            started.set_result((served, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="embedded-services", daemon=True)
    thread.start()
    served, loop, stop = started.result()
    try:
        yield Background(served, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
