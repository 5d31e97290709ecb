"""One listening port and its connections; everything here runs on the event loop.

1. A fault in force holds for connections open now and opened later; a cut is for those open now.
2. What a black hole swallowed comes through when it is over, as TCP sends again what was lost.
3. A lost answer is lost exactly: the request has reached the server whole, and the server has
   answered, before the client's end is cut.
"""

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Final

from tests.crash.proxy.frontend import BEGIN, COMMIT, Frontend

Address = tuple[str, int]

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65536


class Ending(Enum):
    """How a connection is cut."""

    #: In order, with a FIN.
    FIN = "fin"
    #: With a RST: SO_LINGER of zero.
    RESET = "reset"


class Trap(Enum):
    """Where the next COMMIT is cut."""

    #: The server has committed and answered; the client never hears it.
    ANSWER = "answer"
    #: The server never hears of it.
    REQUEST = "request"


class Link:
    """Passes connections on to whatever ``choose`` names."""

    def __init__(
        self, choose: Callable[[], Address | None], *, postgres: bool = False, http: bool = False
    ) -> None:
        """Set up; nothing listens before `listen`.

        Args:
            choose: Where the next connection goes; None: nowhere, it is reset.
            postgres: Look for COMMITs.
            http: Let each connection carry one request, so that each request is balanced anew.
        """
        self.choose = choose
        self.postgres = postgres
        self.http = http
        self.port = 0
        #: What has happened, by name.
        self.counts: Counter[str] = Counter()
        self._delay = 0.0
        self._passable = asyncio.Event()
        self._passable.set()
        self._trap: tuple[Trap, Ending] | None = None
        #: Seconds that the next BEGIN is late.
        self._late = 0.0
        #: Bytes of requests still let through before one connection is cut.
        self._allowance: int | None = None
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> None:
        """Start listening, or listen again on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, _HOST, port or self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections, and reset those there are."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut(Ending.RESET)

    def delay(self, seconds: float) -> None:
        """Hold up every chunk so long."""
        self._delay = seconds

    def black_hole(self) -> None:
        """Let nothing through, in either direction."""
        self._passable.clear()

    def trap(self, trap: Trap, ending: Ending) -> None:
        """Cut at the next COMMIT."""
        self._trap = (trap, ending)

    def hold_begin(self, seconds: float) -> None:
        """Let the next transaction arrive so late."""
        self._late = seconds

    def cut_request_after(self, count: int) -> None:
        """Let ``count`` more bytes of requests through, then cut the connection they are on."""
        self._allowance = count

    async def heal(self) -> None:
        """End every fault that is in force or waits."""
        self._delay, self._trap, self._allowance, self._late = 0.0, None, None, 0.0
        self._passable.set()
        await self.listen()

    def cut(self, ending: Ending, to: Address | None = None) -> int:
        """Cut every connection, or those to one address; return how many."""
        cut = [
            connection for connection in self._connections if to is None or connection.target == to
        ]
        for connection in cut:
            connection.end(ending)
        return len(cut)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        self._passable.set()
        await self.refuse()

    async def pass_gate(self) -> None:
        """Return when the next chunk may go on."""
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._passable.wait()

    def spring(self) -> tuple[Trap, Ending] | None:
        """Take the trap that waits for a COMMIT."""
        trap, self._trap = self._trap, None
        if trap:
            self.counts[f"commit {trap[0].value} lost"] += 1
        return trap

    def lateness(self) -> float:
        """Take the seconds that a BEGIN, which is here now, is to be late."""
        late, self._late = self._late, 0.0
        self.counts["begin late"] += bool(late)
        return late

    def allowed(self, data: bytes) -> bytes | None:
        """Return what may still pass of a request that is to be cut; None: it is not."""
        if self._allowance is None:
            return None
        self._allowance -= len(data)
        if self._allowance > 0:
            return None
        kept = data[: len(data) + self._allowance]
        self._allowance = None
        self.counts["request cut"] += 1
        return kept

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["connections"] += 1
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)


class _Connection:
    def __init__(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.target: Address | None = None
        self._link = link
        self._reader = reader
        self._writers = [writer]
        self._frontend = Frontend() if link.postgres else None
        self._fresh = link.http
        #: Once set, the server's next bytes end the connection like this.
        self._on_answer: Ending | None = None

    async def run(self) -> None:
        with contextlib.suppress(OSError):
            self.target = self._link.choose()
            if self.target is None:
                return self.end(Ending.RESET)
            from_server, to_server = await asyncio.open_connection(*self.target)
            self._writers.append(to_server)
            await asyncio.gather(
                self._requests(self._reader, to_server),
                self._answers(from_server, self._writers[0]),
            )
            return None
        self.end(Ending.RESET)
        return None

    def end(self, ending: Ending) -> None:
        for writer in self._writers:
            if ending is Ending.RESET:
                _reset(writer)
            else:
                writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._link.pass_gate()
            if self._fresh:
                self._fresh, data = False, _alone(data)
            words = self._frontend.words(data) if self._frontend else []
            if any(word == BEGIN for word, _ in words) and (late := self._link.lateness()):
                await asyncio.sleep(late)
            cut = self._cut_in(data, [place for word, place in words if word == COMMIT])
            writer.write(data if cut is None else cut[0])
            if cut is not None:
                await writer.drain()
                return self.end(cut[1])
            await writer.drain()
        return self.end(Ending.FIN)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if self._on_answer is not None:
                return self.end(self._on_answer)
            await self._link.pass_gate()
            writer.write(data)
            await writer.drain()
        return self.end(Ending.FIN)

    def _cut_in(self, data: bytes, commits: list[int]) -> tuple[bytes, Ending] | None:
        """Return what still passes of this chunk, and how the connection ends; None: it goes on."""
        if commits:
            return self._cut_at_commit(data, commits)
        kept = self._link.allowed(data)
        return None if kept is None else (kept, Ending.RESET)

    def _cut_at_commit(self, data: bytes, commits: list[int]) -> tuple[bytes, Ending] | None:
        self._link.counts["commits"] += len(commits)
        sprung = self._link.spring()
        if sprung is None:
            return None
        trap, ending = sprung
        if trap is Trap.REQUEST:
            return data[: commits[0]], ending
        self._on_answer = ending
        return None


def _alone(request: bytes) -> bytes:
    """Return an HTTP request that asks for its connection to be closed after the answer."""
    line, end, rest = request.partition(b"\r\n")
    return line + end + b"Connection: close\r\n" + rest


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()
