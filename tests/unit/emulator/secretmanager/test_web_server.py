import asyncio
import socket
import time
from contextlib import closing
from http.client import HTTPConnection

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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("[::1]:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.", 421),
        ("127.0.0.1:80@evil.example", 421),
        ("10.0.0.1", 421),
    ],
)
def test_only_this_machine_is_asked_for(host: str, status: int) -> None:
    with serve_in_background(lambda: web.serve_app(APP)) as background:
        answer = httpx.get(background.served, headers={"Host": host}, trust_env=False)
    assert answer.status_code == status
    assert (answer.text == "hello") == (status == 200)


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
    with serve_in_background(lambda: web.serve_app(APP)) as background:
        connection = HTTPConnection(background.served.removeprefix("http://"), timeout=10)
        with closing(connection):
            for pause in (5.5, 0):
                connection.request("GET", "/")
                assert connection.getresponse().read() == b"hello"
                time.sleep(pause)
