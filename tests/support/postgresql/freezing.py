"""A TCP relay that goes silent at a chosen word, or says a byte now and then."""

import socket
import struct
import threading
from contextlib import suppress

from tests.support.postgresql.wire import Wire

#: Begins a notice that is long enough never to end.
_NOTICE = b"N" + struct.pack("!I", 1_000_000)


class Freezing(Wire):
    """Relays until a client sends the word; what it is answered from then on is nothing."""

    def __init__(self, port: int, word: bytes, *, drips: bool) -> None:
        super().__init__(port)
        self._word, self._drips = word, drips
        self._end = threading.Event()

    def cut(self) -> None:
        self._end.set()
        super().cut()

    def _forward(
        self, client: socket.socket, server: socket.socket, state: dict[str, object]
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._word in data:
                    state["mute"] = True
                    self._freeze(client)
                    return
                server.sendall(data)

    def _freeze(self, client: socket.socket) -> None:
        if self._drips:
            client.sendall(_NOTICE)
        while not self._end.wait(0.05):
            if self._drips:
                client.sendall(b"S")
