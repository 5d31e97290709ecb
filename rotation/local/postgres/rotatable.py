"""Lay out one database so that its credential can be rotated without anybody noticing.

Rules of this module:
  1. The owner role owns every object, cannot log in and has no password.
  2. The two slot roles are members of the owner and become it at login.
  3. The rotator is not a superuser; it may change the slots but cannot become one of them.
  4. Slots start without a password: the first rotation gives one of them a credential.
"""

import secrets
from typing import Any

from psycopg import sql

from rotation.local.postgres.server import PostgresServer

#: ADMIN on a role is needed, and can be granted this narrowly, from PostgreSQL 16 on.
ADMIN_GRANTS = 16


def create_rotatable_database(
    server: PostgresServer,
    database: str,
    owner: str,
    slots: tuple[str, str],
    rotator: str = "rotator",
) -> dict[str, Any]:
    """Create database, owner, slots and rotator; return the payload of the rotator's secret.

    The rotator is shared by the databases of one server: where it exists already it gets another
    password, so the payload returned last is the one that works.
    """
    password = secrets.token_urlsafe(32)
    with server.connect() as connection:
        exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [rotator]).fetchone()
        verifier = connection.pgconn.encrypt_password(
            password.encode(), rotator.encode(), b"scram-sha-256"
        )
        statements = [
            "ALTER ROLE {rotator} PASSWORD {verifier}"
            if exists is not None
            else "CREATE ROLE {rotator} LOGIN CREATEROLE PASSWORD {verifier}",
            "GRANT pg_read_all_stats, pg_signal_backend TO {rotator}",
            "CREATE ROLE {owner} NOLOGIN",
            *slot_statements(server.binaries.major),
            "CREATE DATABASE {database} OWNER {owner}",
        ]
        names = {
            "rotator": sql.Identifier(rotator),
            "verifier": sql.Literal(verifier.decode()),
            "owner": sql.Identifier(owner),
            "first": sql.Identifier(slots[0]),
            "second": sql.Identifier(slots[1]),
            "database": sql.Identifier(database),
        }
        for statement in statements:
            connection.execute(sql.SQL(statement).format(**names))
    return {
        "engine": "postgres",
        "host": server.host,
        "port": server.port,
        "dbname": database,
        "username": rotator,
        "password": password,
    }


def slot_statements(major: int) -> list[str]:
    """Return what makes one pair of slots; ``{first}`` and the like stand for the role names."""
    statements = ["CREATE ROLE {first} LOGIN", "CREATE ROLE {second} LOGIN"]
    statements += ["GRANT {owner} TO {first}, {second}"]
    statements += [f"ALTER ROLE {{{slot}}} SET role = {{owner}}" for slot in ("first", "second")]
    if major >= ADMIN_GRANTS:
        options = "ADMIN TRUE, INHERIT FALSE, SET FALSE"
        statements += [f"GRANT {{first}}, {{second}} TO {{rotator}} WITH {options}"]
    return statements
