"""Our own TCP proxy: links between two real programs that can be slowed, held, cut and refused.

1. Links run on one event loop in a thread of their own; a `Relay` is the handle for other threads.
2. A link reads only as much of a protocol as a fault needs: where a COMMIT is, where an HTTP
   request begins.  It keeps nothing of what passes.
3. It listens on 127.0.0.1, on a port below those the kernel hands out.
"""

from tests.crash.proxy.link import Ending
from tests.crash.proxy.relay import Relay, relaying

__all__ = ["Ending", "Relay", "relaying"]
