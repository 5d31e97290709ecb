"""Open connections: as the rotator, as a consumer would, and as the planted witness.

Rules of this module:
  1. Each of our sessions bears one of the names in `OWN_NAMES`: that is how `sessions` leaves
     them out.
  2. A connection is in autocommit mode, prepares nothing (a pooler may sit between) and gives
     up on a dead network within the connect time-out.
  3. A failed login leaves here as one of our errors, without the text libpq made of it, and
     without the error it was made from.
"""

from typing import Any

import psycopg

from rotation.issuers.postgresql.errors import translate_login
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.net.node import Node
from rotation.model.password import Password

ADMIN = "rotation admin"
VERIFY = "rotation verify"
WITNESS = "rotation witness"
OWN_NAMES = (ADMIN, VERIFY, WITNESS)

Connection = psycopg.Connection[tuple[Any, ...]]


def log_in(
    settings: PostgreSQLSettings,
    node: Node,
    user: str,
    password: Password,
    name: str,
    require_auth: str | None = None,
) -> Connection:
    """Log in to ``node``; the caller closes the connection.

    Raises:
        CredentialRefusedError: The server answered, and said no.
        TemporaryError: Nobody answered, or the server is full.
        PermanentError: TLS, ``pg_hba.conf`` or the database stand in the way.
    """
    try:
        return psycopg.connect(
            host=node.host,
            port=node.port,
            dbname=settings.database,
            user=user,
            password=password.reveal(),
            application_name=name,
            autocommit=True,
            prepare_threshold=None,
            **_network(settings),
            require_auth=require_auth,
        )
    except psycopg.Error as error:
        failure = translate_login(error, user, node)
    # Here, so that it has no context: the frames of psycopg hold the password.
    raise failure


def _network(settings: PostgreSQLSettings) -> dict[str, Any]:
    seconds = settings.connect_timeout
    parameters: dict[str, Any] = {
        "connect_timeout": seconds,
        "tcp_user_timeout": seconds * 1000,
        "keepalives_idle": 30,
        "gssencmode": "disable",
        "sslmode": settings.tls,
    }
    if settings.tls_root_cert:
        parameters["sslrootcert"] = settings.tls_root_cert
    elif settings.tls == "verify-full":
        parameters["sslrootcert"] = "system"
    return parameters
