"""The rotating pool for PostgreSQL: over psycopg alone, or over psycopg_pool.

Rules of this module:
  1. Where to connect comes from the payload (``host``, ``port``, ``dbname``); what is given here
     goes before it.
  2. A server's refusal is told apart from silence by its English words: before a session exists
     there is no SQLSTATE.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import psycopg

from rotation.client.credentials import Credentials
from rotation.client.pool import ConnectionPool
from rotation.client.rotating import Rotating, trouble_by_words
from rotation.client.sources import Source
from rotation.model.consumer import Trouble
from rotation.model.payload import Fields

Connection = psycopg.Connection[Any]

_PLACES: Final = ("host", "port", "dbname")
#: The login works, and the credential does not serve.
_FAILED: Final = ("permission denied for database", "no pg_hba.conf entry")


def connect(credentials: Credentials, **options: Any) -> Connection:  # noqa: ANN401 - psycopg's
    """Open one connection; ``options`` are psycopg's."""
    return psycopg.connect(**_login(credentials, options))


def _login(credentials: Credentials, options: dict[str, Any]) -> Fields:
    """Return what psycopg connects with; its repr names the keys and nothing else."""
    places = {key: credentials.get(key) for key in _PLACES if credentials.get(key) is not None}
    return Fields(
        {"connect_timeout": 5, **places, **options},
        user=credentials.username,
        password=credentials.password,
    )


def trouble_of(error: BaseException) -> Trouble | None:
    """Say what a failed login means; that a pool is busy means nothing."""
    if type(error).__name__ == "PoolTimeout":
        return None
    if any(words in str(error) for words in _FAILED):
        return Trouble.FAILED
    return trouble_by_words(error)


def rotating(
    source: Source,
    *,
    max_size: int = 10,
    read_every: float = 30.0,
    **options: Any,  # noqa: ANN401
) -> Rotating[Connection]:
    """Return a rotating pool that needs psycopg and nothing else.

    Args:
        source: Where the credential is read.
        max_size: Connections of one credential; during the overlap there may be twice as many.
        read_every: Seconds between two reads of the source.
        options: For `psycopg.connect`, for example ``sslmode`` or ``application_name``.
    """

    def open_pool(credentials: Credentials) -> ConnectionPool[Connection]:
        return ConnectionPool(lambda: connect(credentials, **options), max_size=max_size)

    return Rotating(source, open_pool, trouble_of=trouble_of, read_every=read_every)


def rotating_psycopg_pool(
    source: Source,
    *,
    pool: dict[str, Any] | None = None,
    read_every: float = 30.0,
    **options: Any,  # noqa: ANN401 - psycopg's
) -> Rotating[Connection]:
    """Return a rotating pool over psycopg_pool, one of its pools for each credential.

    Args:
        source: Where the credential is read.
        pool: Options of `psycopg_pool.ConnectionPool`, for example ``{"max_size": 20}``.
        read_every: Seconds between two reads of the source.
        options: For `psycopg.connect`.
    """

    def open_pool(credentials: Credentials) -> _PsycopgPool:
        return _PsycopgPool(credentials, pool or {}, options)

    return Rotating(source, open_pool, trouble_of=trouble_of, read_every=read_every)


class _PsycopgPool:
    """A psycopg_pool pool that says why it has no connection: it only knows that time is over."""

    def __init__(
        self, credentials: Credentials, pool: dict[str, Any], options: dict[str, Any]
    ) -> None:
        from psycopg_pool import ConnectionPool as Pool  # noqa: PLC0415 - optional

        self._credentials, self._options = credentials, options
        self._prove()
        self._pool: Pool[Connection] = Pool(
            kwargs=_login(credentials, options),
            open=False,
            **({"min_size": 1, "max_size": 10, "timeout": 10.0} | pool),
        )
        self._pool.open(wait=True)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection for a block."""
        from psycopg_pool import PoolTimeout  # noqa: PLC0415 - optional

        with ExitStack() as stack:
            try:
                connection = stack.enter_context(self._pool.connection())
            except PoolTimeout:
                self._prove()
                raise
            yield connection

    def close(self) -> None:
        """Lend no more; what is lent out is closed when it comes back."""
        self._pool.close()

    def _prove(self) -> None:
        connect(self._credentials, **self._options).close()
