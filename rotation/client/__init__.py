"""For applications whose credential is rotated: read it, follow it, say which one is in use.

Imports the standard library and the records in `rotation.model`; a driver or Google's client only
where one is used.  deploy/docs/consumers.md shows how.
"""

from rotation.client.credentials import Credentials
from rotation.client.pool import ConnectionPool, PoolClosedError, PoolTimeoutError
from rotation.client.reporting import report, respond, serve_report
from rotation.client.rotating import Rotating
from rotation.client.sources import FileSource, SecretManagerSource, Source
from rotation.model.consumer import Trouble

__all__ = [
    "ConnectionPool",
    "Credentials",
    "FileSource",
    "PoolClosedError",
    "PoolTimeoutError",
    "Rotating",
    "SecretManagerSource",
    "Source",
    "Trouble",
    "report",
    "respond",
    "serve_report",
]
