"""A TCP relay in front of a server: counts round trips, and cuts connections at a chosen word."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

#: A Parse message begins so many bytes before its text: type, length, empty name.
PARSE_HEADER = 6


class Wire:
    """Relays to ``port`` from a port of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.logins = 0
        self.turns = 0
        self.sent = b""
        self._cut_before: bytes | None = None
        self._swallow_answer_to: bytes | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    @property
    def round_trips(self) -> int:
        """One for each TCP handshake, one for each time the client waited for the server."""
        return self.logins + self.turns

    def reset(self) -> None:
        self.logins = self.turns = 0
        self.sent = b""

    def cut(self) -> None:
        """Break every connection that is open now."""
        while self._open:
            end = self._open.pop()
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut_before(self, word: bytes) -> None:
        """Let the next statement that starts with ``word`` never arrive; what precedes it does."""
        self._cut_before = word

    def swallow_answer_to(self, word: bytes) -> None:
        """Deliver the next statement that starts with ``word``, and lose the answer."""
        self._swallow_answer_to = word

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.logins += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            state = {"turn": "server", "mute": False}
            self._start(self._forward, client, server, state)
            self._start(self._backward, client, server, state)

    def _forward(
        self, client: socket.socket, server: socket.socket, state: dict[str, object]
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if state["turn"] == "server" and data[:1] != b"X":
                    self.turns += 1
                    state["turn"] = "client"
                self.sent += data
                if self._cut_before and self._cut_before in data:
                    server.sendall(data[: data.index(self._cut_before) - PARSE_HEADER])
                    self._cut_before = None
                    break
                if self._swallow_answer_to and self._swallow_answer_to in data:
                    state["mute"] = True
                    self._swallow_answer_to = None
                server.sendall(data)
        _hang_up(client, server)

    def _backward(
        self, client: socket.socket, server: socket.socket, state: dict[str, object]
    ) -> None:
        with suppress(OSError), client, server:
            while data := server.recv(65536):
                state["turn"] = "server"
                if state["mute"]:
                    break
                client.sendall(data)
            _hang_up(client, server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
