"""Rotate the password of one ACL user, on every node.

What follows what is decided in `rotation.issuers._keys`; what it means in Redis is in `target`.
"""

from typing import TYPE_CHECKING, ClassVar

from rotation.issuers._keys.issuer import UserKeys
from rotation.issuers.redis.settings import RedisSettings
from rotation.issuers.redis.spec import SPEC
from rotation.kit.library import library_of
from rotation.model.plugin import IssuerSpec
from rotation.ports.issuer import IssuerEnvironment

if TYPE_CHECKING:
    from rotation.issuers.redis.target import RedisTarget


class Redis(UserKeys):
    """The issuer for one ACL user; see `rotation.ports.issuer.Issuer` for the contract."""

    spec: ClassVar[IssuerSpec] = SPEC

    def __init__(self, settings: RedisSettings, environment: IssuerEnvironment) -> None:
        super().__init__(settings, environment)
        self._own = settings

    def open_target(self) -> "RedisTarget":
        """Import what needs the library; what the issuer says of itself does not."""
        with library_of("redis"):
            from rotation.issuers.redis.target import RedisTarget  # noqa: PLC0415
        return RedisTarget(self._own)
