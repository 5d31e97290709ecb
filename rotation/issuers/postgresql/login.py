"""Open connections: as the rotator, as a consumer would, and as the planted witness.

Rules of this module:
  1. Each of our sessions bears one of the names in `OWN_NAMES`: that is how `sessions` leaves
     them out.
  2. A connection is in autocommit mode, prepares nothing (a pooler may sit between) and gives
     up on a dead network within the connect time-out.
  3. A failed login leaves here as one of our errors, without the text libpq made of it, and
     without the error it was made from.
  4. A password is proved by SCRAM and never sent: a server that asks for it in clear, by md5 or by
     GSS gets nothing.  Under TLS the proof is bound to the very connection (channel binding).
  5. An access token is sent as it is; so only a server whose certificate was verified gets one.
"""

from typing import Any

import psycopg

from rotation.issuers._slots.admin import IAM
from rotation.issuers.postgresql.errors import translate_login
from rotation.issuers.postgresql.settings import SOCKET, PostgreSQLSettings
from rotation.issuers.postgresql.transport import Bounded, connect
from rotation.kit.net.node import Node
from rotation.model.password import Password

ADMIN = "rotation admin"
VERIFY = "rotation verify"
WITNESS = "rotation witness"
OWN_NAMES = (ADMIN, VERIFY, WITNESS)

Connection = Bounded


def log_in(
    settings: PostgreSQLSettings, node: Node, user: str, password: Password, name: str
) -> Connection:
    """Log in to ``node``; the caller closes the connection.

    Raises:
        CredentialRefusedError: The server answered, and said no.
        TemporaryError: Nobody answered, or the server is full.
        PermanentError: TLS, ``pg_hba.conf`` or the database stand in the way.
    """

    def login() -> Connection:
        return Bounded.connect(
            host=node.host,
            port=node.port,
            dbname=settings.database,
            user=user,
            password=password.reveal(),
            application_name=name,
            autocommit=True,
            prepare_threshold=None,
            **_network(settings),
            **_demands(settings, node, is_token=name == ADMIN and settings.admin == IAM),
        )

    try:
        return connect(str(node), settings.connect_timeout, settings.statement_timeout, login)
    except psycopg.Error as error:
        failure = translate_login(error, user, node)
    # Here, so that it has no context: the frames of psycopg hold the password.
    raise failure


def _demands(settings: PostgreSQLSettings, node: Node, *, is_token: bool) -> dict[str, Any]:
    """Return by what the server may have the user prove who it is; anything else is refused."""
    if is_token:
        return {"require_auth": "password,scram-sha-256"}
    binds = settings.tls != "disable" and not node.host.startswith(SOCKET)
    binding = settings.channel_binding if binds else "prefer"
    return {"require_auth": "scram-sha-256", "channel_binding": binding}


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
