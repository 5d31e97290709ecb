"""A TCP relay that holds a worker still at a chosen message to its system, to be killed there.

It reads no protocol.  A message is what arrives at once; where the system gets all of it, it is all
that a client sends until it is answered.
"""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

#: How much of the message the system gets: none, a half, or all of it, but its answer is lost.
NONE, HALF, ALL = 0.0, 0.5, 1.0


class Holding:
    """Relays to ``port``; with a number and a share, holds whoever sends that message."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: Set once the message has come, and the system has had its share of it.
        self.reached = threading.Event()
        self._countdown, self._share = 0, NONE
        self._lock = threading.Lock()
        self._lines: list[_Line] = []
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
        _shut(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def hold(self, number: int, share: float) -> None:
        """Hold whoever sends the message with this number, counted from 1 and from now on."""
        with self._lock:
            self._countdown, self._share = number, share

    def _cut(self) -> None:
        """Let the system see that its clients are gone, and wait until it is done with them."""
        for line in self._lines:
            _shut(line.client, socket.SHUT_RDWR)
            _shut(line.server, socket.SHUT_WR)
        for thread in self._threads:
            thread.join()
        for line in self._lines:
            line.client.close()
            line.server.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                line = _Line(client, server)
                self._lines.append(line)
                self._start(self._forward, line)
                self._start(self._backward, line)

    def _forward(self, line: "_Line") -> None:
        with suppress(OSError):
            while data := line.client.recv(65536):
                if line.is_answered or self._share != ALL:
                    line.is_answered = False
                    line.is_held = self._is_the_one()
                if not line.is_held or self._share == ALL:
                    line.server.sendall(data)
                    continue
                line.server.sendall(data[: int(len(data) * self._share)])
                self.reached.set()
                return  # the connections stay as they are until they are cut
        _shut(line.server, socket.SHUT_WR)

    def _backward(self, line: "_Line") -> None:
        with suppress(OSError):
            while data := line.server.recv(65536):
                if line.is_held:
                    self.reached.set()  # the answer is lost
                    continue
                line.is_answered = True
                line.client.sendall(data)
        if line.is_held:
            self.reached.set()  # the message was a farewell
        else:
            _shut(line.client, socket.SHUT_RDWR)

    def _is_the_one(self) -> bool:
        with self._lock:
            self._countdown -= 1
            return self._countdown == 0


class _Line:
    """One connection and its other half."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        #: What the client sends next begins a message.
        self.is_answered = True
        self.is_held = False


def _shut(end: socket.socket, how: int) -> None:
    with suppress(OSError):
        end.shutdown(how)
