"""What a process of an embedded stack does differently: its clock, its caller, where it dies.

None of this is deployed: the function has no such settings, and is handed what is made here.

Rules of this module:
  1. It alone reads these variables.  Without them a process is as on Google Cloud.
  2. Embedded services believe who a caller says it is; Google's never get a caller's name from us.
  3. The embedded Pub/Sub signs with a key of its own.  Whose certificates are believed
     is no setting of the function: only this process is handed another place for them.
  4. A crash point fires once: the marker file is made first, so the restarted process goes on.
"""

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rotation import config, wiring
from rotation.emulator.clock import MovableClock
from rotation.engine.crashpoints import CrashPoint, Reach, never

if TYPE_CHECKING:
    from rotation.app import Application
    from rotation.ports.callers import Callers

#: Value of ``ROTATION_EMBEDDED_CERTIFICATES`` where pushes carry no token.
UNSIGNED: Final = "unsigned"

_SIGNALS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def make_application(environ: Mapping[str, str] = os.environ) -> "Application":
    """Build the function's application as a stack's own environment describes it."""
    return wiring.make_application(
        environ,
        clock=clock(environ),
        identity=identity(environ),
        reach=crash_point(environ),
        callers=callers(environ),
    )


def callers(environ: Mapping[str, str] = os.environ) -> "Callers | None":
    """Return what knows the embedded push's tokens; None: believe Google, as when deployed.

    ``ROTATION_EMBEDDED_CERTIFICATES`` is the URL of its certificates, or ``unsigned`` on a Pub/Sub
    that signs nothing, as Google's emulator.
    """
    named = environ.get("ROTATION_EMBEDDED_CERTIFICATES", "")
    if not named:
        return None
    if named == UNSIGNED:
        return wiring.make_callers_of_an_emulator()
    return wiring.make_callers(config.from_environment(environ), named)


def clock(environ: Mapping[str, str] = os.environ) -> MovableClock | None:
    """Return the clock that the stack moves; None: nobody moves one."""
    file = environ.get("ROTATION_CLOCK_FILE")
    return MovableClock(Path(file)) if file else None


def identity(environ: Mapping[str, str] = os.environ) -> str:
    """Return the e-mail address to call embedded services as; empty: their owner."""
    return environ.get("ROTATION_EMBEDDED_IDENTITY", "")


def crash_point(environ: Mapping[str, str] = os.environ) -> Reach:
    """Return what interrupts this process once, at the point that a test of recovery names.

    Raises:
        ValueError: ``ROTATION_CRASH_AT`` is not ``POINT:kill`` or ``POINT:stop``.
    """
    named = environ.get("ROTATION_CRASH_AT")
    if not named:
        return never
    name, _, action = named.partition(":")
    point, number = CrashPoint(name), _SIGNALS.get(action)
    if number is None:
        raise ValueError(f"{action!r} is not an action; use kill or stop")
    marker = Path(environ.get("ROTATION_CRASH_MARKER") or "crash-point-fired")

    def reach(reached: CrashPoint) -> None:
        if reached is not point:
            return
        try:
            marker.touch(exist_ok=False)
        except FileExistsError:
            return
        # To this very thread: sent to the process, another thread may take the signal, and this one
        # would run past the point before all of them are stopped.
        signal.pthread_kill(threading.get_ident(), number)

    return reach
