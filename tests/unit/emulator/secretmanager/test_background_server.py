import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rotation.emulator.background import serve_in_background


@asynccontextmanager
async def current_thread(closed: list[str]) -> AsyncIterator[threading.Thread]:
    yield threading.current_thread()
    closed.append("closed")


def test_block_serves_on_a_thread_of_its_own_and_closes() -> None:
    closed: list[str] = []
    with serve_in_background(lambda: current_thread(closed)) as background:
        thread = background.served
        assert background.call(lambda _served: threading.current_thread()) is thread
        assert background.call(lambda served: asyncio.sleep(0, result=served)) is thread
    assert closed == ["closed"]
    assert not thread.is_alive()


def test_error_of_a_call_reaches_the_caller() -> None:
    with (
        serve_in_background(lambda: current_thread([])) as background,
        pytest.raises(ZeroDivisionError),
    ):
        background.call(lambda _served: 1 // 0)


def test_error_while_starting_reaches_the_caller() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        message = "port taken"
        raise OSError(message)
        yield

    with pytest.raises(OSError, match="port taken"), serve_in_background(broken):
        pass
