"""What target and policy say about one ACL user, checked as far as text can be.

Rules of this module:
  1. TLS is verified fully unless the target writes out something weaker.
  2. The user that servers and Sentinels log in as is never rotated, nor one of our own records.
  3. Addresses are not quoted: people paste URLs with passwords there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from rotation.issuers._settings import ServerSettings
from rotation.kit.net.node import Node, parse_nodes
from rotation.model.errors import PolicyError
from rotation.model.target import Refusal, fits_one

#: What the names of our records begin with.
RECORD: Final = "rotation:"
_USER: Final = re.compile(r"[A-Za-z0-9._@:+-]{1,63}")
_PORT, _LONGEST = 6379, 300


@dataclass(frozen=True, kw_only=True)
class RedisTarget(ServerSettings):
    """Servers that may be touched, and which of their users may be changed."""

    #: Every server as ``host`` or ``host:port``, replicas too: ACLs do not replicate. Changes begin
    #: with the first.
    nodes: tuple[str, ...]
    #: Secret that holds the rotator's username and password.
    admin: str
    #: ACL users that may be rotated; ``*`` stands for any characters.
    users: tuple[str, ...] = ()
    #: How a change outlives a restart: ``ACL SAVE``, ``CONFIG REWRITE``, or ``none`` where the
    #: service keeps ACLs by itself; on any other server a restart brings the old password back.
    persist: Literal["aclfile", "config", "none"] = "aclfile"
    #: How far TLS is verified.
    tls: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    #: File of trusted certificates; empty: those of the system.
    tls_root_cert: str = ""
    #: Seconds until a silent server is given up.
    timeout: int = 5

    def __post_init__(self) -> None:
        self.check_admin()
        if not self.nodes or len(set(self.servers)) < len(self.nodes):
            raise PolicyError("nodes must name at least one server, and none twice")
        self.check_seconds(_LONGEST, "timeout")
        self.check_trust()

    @property
    def servers(self) -> tuple[Node, ...]:
        """Every node."""
        return parse_nodes("nodes", self.nodes, _PORT)

    def reaches(self) -> str:
        """Say which nodes, and with whose login."""
        return f"{', '.join(self.nodes)} with the login {self.admin}"


@dataclass(frozen=True, kw_only=True)
class RedisSettings(RedisTarget):
    """The ``issuer`` object of a policy, without ``kind``."""

    #: ACL user that consumers log in as.
    user: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _USER.fullmatch(self.user):
            raise PolicyError("user must be 1 to 63 letters, digits and . _ @ : + -")
        if self.user == "default" or self.user.startswith(RECORD):
            raise PolicyError(
                f"{self.user!r} is a reserved user",
                remedy="give consumers a user of their own: servers and Sentinels use default",
            )

    def refusals(self) -> Iterator[Refusal]:
        """Yield the user where the target does not let a policy name it."""
        if not fits_one(self.users, self.user):
            yield Refusal("users", f"the user {self.user!r} may not be changed")

    @property
    def record(self) -> str:
        """Name of the ACL user that only remembers; nobody can log in as it."""
        return f"{RECORD}{self.user}"
