"""A real PostgreSQL server inside the process's own folder, for demonstrations and tests."""

from rotation.local.postgres.binaries import NoPostgresError, PostgresBinaries, find_bindirs
from rotation.local.postgres.rotatable import create_rotatable_database
from rotation.local.postgres.server import PostgresError, PostgresReplica, PostgresServer

__all__ = [
    "NoPostgresError",
    "PostgresBinaries",
    "PostgresError",
    "PostgresReplica",
    "PostgresServer",
    "create_rotatable_database",
    "find_bindirs",
]
