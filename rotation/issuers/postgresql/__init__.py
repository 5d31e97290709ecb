"""The PostgreSQL issuer.  The registry finds the plugin by the name ``ISSUER``."""

from rotation.issuers.postgresql.issuer import PostgreSQL
from rotation.issuers.postgresql.settings import PostgreSQLSettings

ISSUER = PostgreSQL

__all__ = ["ISSUER", "PostgreSQL", "PostgreSQLSettings"]
