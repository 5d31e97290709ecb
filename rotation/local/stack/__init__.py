"""The whole embedded stack: Secret Manager, Pub/Sub, scheduler, PostgreSQL and the function.

1. Every part is real: the services speak Google's API, PostgreSQL is a server process, and the
   function is `rotation.local.served` in the functions framework, woken over HTTP.
2. Everything listens on 127.0.0.1 only.
3. With a data directory nothing is lost by stopping; without one everything is removed.
"""

from rotation.local.stack.function import FunctionProcess
from rotation.local.stack.options import StackOptions
from rotation.local.stack.stack import Stack

__all__ = ["FunctionProcess", "Stack", "StackOptions"]
