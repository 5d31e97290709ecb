"""What every HTTP exchange keeps: its time, its limits, its silence about what was sent."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rotation.kit.net import addresses, sending
from rotation.kit.net.exchange import Limits, NoReplyError, Reply, Request, Trouble, send
from rotation.kit.net.location import Location
from rotation.local.postgres.certificate import write_certificates
from rotation.model.errors import PolicyError
from rotation.model.password import Password

LIMITS = Limits(total=20.0, largest=1000)
SECRET = "s3cr3t-token"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Says what it is given on each connection, and keeps what it was sent."""

    def __init__(self, *replies: bytes, hangs: bool = False) -> None:
        self.replies, self.hangs = list(replies), hangs
        self.connections = 0
        self.requests: list[bytes] = []
        self.end = threading.Event()
        self.closed = threading.Event()

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._answer(connection)
            self.closed.set()

    def _answer(self, connection: socket.socket) -> None:
        while self.replies and (request := received(connection)):
            self.requests.append(request)
            reply = self.replies.pop(0)
            connection.sendall(reply)
            if b"Content-Length" not in reply:
                return
        if self.hangs:
            self.end.wait(5)


def received(connection: socket.socket) -> bytes:
    """Read one request, body included; empty when the other side has closed."""
    request = b""
    while part := connection.recv(65536):
        request += part
        head, end, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            return request
    return b""


@contextmanager
def serving(server: Server) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve, args=(listener,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.end.set()
        sending._kept.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def request(url: str, **more: Any) -> Request:
    headers = {"Authorization": Password(f"Bearer {SECRET}"), **more.pop("headers", {})}
    return Request(Location.parse(url, "url"), headers=headers, **more)


def refused(url: str, limits: Limits = LIMITS, **more: Any) -> NoReplyError:
    with pytest.raises(NoReplyError) as caught:
        send(request(url, **more), limits)
    error = caught.value
    assert error.__cause__ is None
    assert SECRET not in f"{error!r} {error}"
    assert "query-s3cr3t" not in f"{error!r} {error}"
    return error


def test_a_reply_is_read_whole() -> None:
    server = Server(GOOD)
    with serving(server) as url:
        reply = send(request(f"{url}/a b?q=\u00e4", method="POST", body=b"{}"), LIMITS)
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"ok", "2")
    assert server.requests[0].startswith(b"POST /a%20b?q=%C3%A4 HTTP/1.1\r\n")
    assert b"Content-Length: 2\r\n" in server.requests[0]
    assert server.requests[0].endswith(b"\r\n\r\n{}")


def test_nothing_that_was_sent_or_received_shows_in_a_repr() -> None:
    asked = request("http://127.0.0.1:1", body=SECRET.encode())
    assert SECRET not in repr(asked)
    assert SECRET not in repr(Reply(200, SECRET.encode(), {"x": SECRET}))


def test_a_redirect_is_a_reply() -> None:
    elsewhere = Server(GOOD)
    with serving(elsewhere) as other:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {other}\r\nContent-Length: 0\r\n\r\n"
        with serving(Server(moved.encode())) as url:
            assert send(request(url), LIMITS).status == 307
    assert elsewhere.requests == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Server(GOOD)
    with serving(Server(GOOD)) as url, serving(proxy) as other:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other)
        assert send(request(url), LIMITS).status == 200
    assert proxy.requests == []


@pytest.mark.parametrize(
    ("reply", "trouble"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", Trouble.CUT_SHORT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", Trouble.CUT_SHORT),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001, Trouble.TOO_LONG),
        (b"SSH-2.0-OpenSSH\r\n", Trouble.NOT_HTTP),
        (b"", Trouble.BROKEN),
    ],
)
def test_what_cannot_be_used_may_have_been_acted_on(reply: bytes, trouble: Trouble) -> None:
    server = Server(reply)
    with serving(server) as url:
        error = refused(f"{url}/?key=query-s3cr3t")
    assert (error.trouble, error.was_sent) == (trouble, True)
    assert len(server.requests) == 1, "a request is sent once"


def test_a_server_that_is_silent_is_left_in_time() -> None:
    with serving(Server(hangs=True)) as url:
        began = time.monotonic()
        error = refused(url, Limits(0.3, 1000))
        assert time.monotonic() - began < 2
        assert (str(error), error.was_sent) == ("no answer within 0.3 s", True)
        assert refused(url, Limits(5, 1000, silence=0.2)).trouble is Trouble.TIMEOUT


def test_what_never_reached_anybody_was_not_sent(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = refused(f"http://127.0.0.1:{bound.getsockname()[1]}")
    assert (error.trouble, error.was_sent) == (Trouble.REFUSED, False)
    error = refused("https://127.0.0.1:1", tls_root_cert=str(tmp_path / "none.pem"))
    assert (error.trouble, error.was_sent) == (Trouble.ROOT_CERTIFICATE, False)
    with serving(Server(GOOD)) as url:
        error = refused(url, headers={"X-Key": Password(f"{SECRET}\r\nHost: other")})
    assert (error.trouble, error.was_sent) == (Trouble.BAD_HEADER, False)


def test_a_server_that_is_not_trusted_is_sent_nothing(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, context))
        thread.start()
        error = refused(f"https://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert (error.trouble, error.was_sent) == (Trouble.CERTIFICATE, False)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, pytest.raises(OSError, match="CA"):
        context.wrap_socket(connection, server_side=True)


def test_a_request_that_was_given_up_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Event()
    connect = addresses.connect

    def slow(host: str, port: int, **how: Any) -> socket.socket:
        late.wait(5)
        return connect(host, port, **how)

    monkeypatch.setattr(addresses, "connect", slow)
    server = Server(GOOD)
    with serving(server) as url:
        assert not refused(url, Limits(0.1, 1000), method="PUT").was_sent
        late.set()
        for thread in threading.enumerate():
            if thread.name == "rotation-http":
                thread.join(5)
    assert server.requests == []


def test_a_connection_serves_the_next_request_while_it_is_open() -> None:
    server = Server(GOOD, GOOD)
    with serving(server) as url:
        for _ in range(2):
            assert send(request(url), LIMITS).body == b"ok"
        assert server.connections == 1
        # The server has closed it, and takes a new one.
        assert server.closed.wait(20)
        server.replies = [GOOD]
        assert send(request(url, method="POST", body=b"x"), LIMITS).body == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    "url", ["ftp://h/", "https://", "https://u:query-s3cr3t@h/", "https://h/#f", "https://h:x/"]
)
def test_what_is_not_a_place_for_requests_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Location.parse(url, "api")
    assert "query-s3cr3t" not in str(caught.value)
