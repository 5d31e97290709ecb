"""Rotate the password of one PostgreSQL database between two slot roles.

Each slot is a login role that becomes the owner role at login.  What follows what is decided in
`rotation.issuers._slots`; what it means in PostgreSQL is in `target`.
"""

from typing import ClassVar

from rotation.issuers._slots.issuer import TwoSlots
from rotation.issuers.postgresql.adopting.declared import ADOPTION
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.issuers.postgresql.spec import SPEC
from rotation.issuers.postgresql.target import PostgreSQLTarget
from rotation.model.adoption import AdoptionRequest, AdoptionSpec
from rotation.model.plugin import IssuerSpec
from rotation.ports.adoption import Adopter
from rotation.ports.issuer import IssuerEnvironment


class PostgreSQL(TwoSlots):
    """The issuer for one database; see `rotation.ports.issuer.Issuer` for the contract."""

    spec: ClassVar[IssuerSpec] = SPEC
    adoption: ClassVar[AdoptionSpec] = ADOPTION

    def __init__(self, settings: PostgreSQLSettings, environment: IssuerEnvironment) -> None:
        super().__init__(settings, PostgreSQLTarget(settings), environment)
        self._settings = settings

    @classmethod
    def adopting(cls, request: AdoptionRequest) -> Adopter:
        """Bring a database with one login role under rotation."""
        from rotation.issuers.postgresql.adopting.adopter import (  # noqa: PLC0415 - not for a tick
            PostgreSQLAdopter,
        )

        return PostgreSQLAdopter(request)

    def location(self) -> str:
        """Name the primary and the database."""
        return f"{self._settings.primary}/{self._settings.database}"
