"""Stop a worker of the function at a named place (SIGSTOP), and let it go on later (SIGCONT)."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from tests.support.stack.scene import Scene, wait_until
from tests.support.stack.target import Target


@contextmanager
def stalled(scene: Scene, point: str, work: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Have ``work`` reach ``point`` and stop there; yields what lets it go on."""
    with scene.interrupted_at(point, "stop"):
        work()
        (pid,) = wait_until(lambda: list(scene.stack.function.stopped_children()), "it stops")

        try:
            yield lambda: os.kill(pid, signal.SIGCONT)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def straggling(target: Target) -> Iterator[None]:
    """Suspend the previous credential while somebody logs in with it at the last moment."""
    payload = target.payload(target.aliases["previous"])

    def suspend() -> None:
        target.scene.advance(hours=1, seconds=1)
        target.scene.sweep()

    with (
        stalled(target.scene, "suspending", suspend) as go_on,
        closing(target.connect(payload, application_name="billing")),
    ):
        go_on()
        target.await_phase("observing")
        target.scene.await_idle()
        assert target.refused(payload)
        yield


def settle_by_hand(target: Target, beat: Callable[[], None]) -> None:
    """Let all the time pass that the rotation takes, without Pub/Sub.

    Pub/Sub would send some of its requests over connections to the stopped process.
    """
    for _ in range(20):
        if target.phase == "settled":
            return
        beat()
        target.skip_wait()
        wake = {"eventType": "ROTATION_WAKE", "secretId": target.name}
        # 503: a sweep woke it too, and the other delivery holds it just now.
        assert target.scene.deliver(**wake) in {204, 503}
    raise AssertionError(f"{target.id} never settles: {target.log()[-3:]}")
