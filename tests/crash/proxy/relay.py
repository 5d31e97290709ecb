"""The handle of a link for threads other than the event loop's."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rotation.emulator.background import Background, serve_in_background
from rotation.local.postgres.server import free_port
from tests.crash.proxy.link import Address, Ending, Link, Trap


class Relay:
    """A link as others see it; every method returns when it is done."""

    def __init__(self, running: Background[list[Link]], link: Link) -> None:
        self._running = running
        self._link = link

    @property
    def port(self) -> int:
        """Port on 127.0.0.1, the same for life."""
        return self._link.port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def point_to(self, host: str, port: int) -> None:
        """Send connections from now on elsewhere; those that are open stay."""
        self._running.call(lambda _: setattr(self._link, "choose", lambda: (host, port)))

    def balance(self, choose: Callable[[], Address | None]) -> None:
        """Ask ``choose`` for each connection; it is called on the event loop."""
        self._running.call(lambda _: setattr(self._link, "choose", choose))

    def delay(self, seconds: float) -> None:
        self._running.call(lambda _: self._link.delay(seconds))

    def black_hole(self) -> None:
        self._running.call(lambda _: self._link.black_hole())

    def refuse(self) -> None:
        self._running.call(lambda _: self._link.refuse())

    def heal(self) -> None:
        self._running.call(lambda _: self._link.heal())

    def cut(self, ending: Ending = Ending.FIN, to: Address | None = None) -> int:
        """Cut what is open now; return how many connections that were."""
        return self._running.call(lambda _: self._link.cut(ending, to))

    def lose_commit_answer(self, ending: Ending = Ending.RESET) -> None:
        """Deliver the next COMMIT, and cut when the server has answered it."""
        self._running.call(lambda _: self._link.trap(Trap.ANSWER, ending))

    def lose_commit(self, ending: Ending = Ending.RESET) -> None:
        """Cut before the next COMMIT is delivered."""
        self._running.call(lambda _: self._link.trap(Trap.REQUEST, ending))

    def hold_begin(self, seconds: float) -> None:
        """Let the next transaction arrive so late; what follows on its connection waits."""
        self._running.call(lambda _: self._link.hold_begin(seconds))

    def cut_request_after(self, count: int) -> None:
        self._running.call(lambda _: self._link.cut_request_after(count))

    def counts(self) -> Counter[str]:
        """Return what has happened on this link, by name."""
        return self._running.call(lambda _: Counter(self._link.counts))


MakeRelay = Callable[..., Relay]


@contextmanager
def relaying() -> Iterator[MakeRelay]:
    """Run links while entered; yields what makes one: ``make(postgres=True)``."""

    @asynccontextmanager
    async def serve() -> AsyncIterator[list[Link]]:
        links: list[Link] = []
        try:
            yield links
        finally:
            for link in links:
                await link.close()

    with serve_in_background(serve) as running:

        async def opened(links: list[Link], *, postgres: bool, http: bool) -> Link:
            link = Link(lambda: None, postgres=postgres, http=http)
            await link.listen(free_port())
            links.append(link)
            return link

        def make(*, postgres: bool = False, http: bool = False) -> Relay:
            link = running.call(lambda links: opened(links, postgres=postgres, http=http))
            return Relay(running, link)

        yield make
