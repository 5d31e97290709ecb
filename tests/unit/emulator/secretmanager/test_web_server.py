import asyncio
import socket
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from rotation.emulator import web
from rotation.emulator.background import serve_in_background


async def hello(_http: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


def test_application_is_served_until_the_block_ends() -> None:
    with serve_in_background(lambda: web.serve_app(APP)) as background:
        url = background.served
        assert httpx.get(url, trust_env=False).text == "hello"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_taken_port_is_an_error_of_the_caller() -> None:
    async def serve(port: int) -> None:
        async with web.serve_app(APP, port=port):
            pass

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        asyncio.run(serve(taken.getsockname()[1]))


def test_answers_are_not_held_back_by_nagles_algorithm() -> None:
    # asyncio sets TCP_NODELAY only where the listener's protocol is TCP by number.
    with web._listener("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_idle_connection_is_kept_for_longer_than_clients_keep_it() -> None:
    # Clients and server with the same 5 s met in one of a hundred requests: a broken connection.
    request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    with serve_in_background(lambda: web.serve_app(APP)) as background:
        port = httpx.URL(background.served).port
        with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as connection:
            for pause in (5.5, 0):
                connection.sendall(request)
                assert connection.recv(4096).endswith(b"hello")
                time.sleep(pause)
