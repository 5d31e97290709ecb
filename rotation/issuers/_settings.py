"""What issuers of servers say alike, in their settings and in their specs.

Rules of this module:
  1. No value is quoted: where an address or a secret's name belongs, people paste passwords.
"""

from typing import Final

from rotation.model.errors import PolicyError
from rotation.model.names import VersionName
from rotation.model.permission import NotNeeded, On, Permission
from rotation.model.target import TargetSettings

READS_LOGIN: Final = Permission(
    "secretmanager.versions.access",
    On.READ_SECRET,
    "read the rotator's own login",
    which="the secret of admin",
)
ADDS_NO_LOGIN: Final = NotNeeded(
    "secretmanager.versions.add on the admin secret",
    "the rotator's own login is rotated like any other secret, if at all",
)


class ServerSettings(TargetSettings):
    """Settings with a rotator's login and TLS: base of a record that has these fields."""

    admin: str
    tls: str
    tls_root_cert: str

    @property
    def admin_version(self) -> str:
        """Full name of the version that holds the rotator's login."""
        return str(VersionName.parse_or_latest(self.admin))

    def check_admin(self, other: str = "") -> None:
        """Refuse what is not the name of a secret; ``other`` is what could stand there, too."""
        if not VersionName.is_name_or_secret(self.admin):
            raise PolicyError(f"admin must be {other}a secret: projects/PROJECT/secrets/SECRET")

    def check_trust(self) -> None:
        """Refuse to verify without anything to verify by."""
        if self.tls == "verify-ca" and not self.tls_root_cert:
            raise PolicyError("tls: verify-ca needs tls_root_cert")

    def check_seconds(self, longest: int, *names: str) -> None:
        """Refuse time-outs that are none."""
        for name in names:
            if not 1 <= getattr(self, name) <= longest:
                raise PolicyError(f"{name} must be between 1 and {longest} seconds")
