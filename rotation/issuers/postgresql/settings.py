"""What a policy says about one PostgreSQL database, checked as far as text can be.

Rules of this module:
  1. TLS is verified fully unless the policy writes out something weaker.
  2. A name that PostgreSQL or a cloud keeps for itself is never a slot.
"""

import re
from dataclasses import dataclass
from typing import Literal

from rotation.model.errors import BadNameError, PolicyError
from rotation.model.names import SecretName

IAM = "iam"
#: PostgreSQL cuts longer names silently, and two cut names may be the same.
NAME_BYTES = 63
_LAST_PORT = 65535
#: Roles of PostgreSQL itself, Cloud SQL, AlloyDB, RDS, Azure and CloudNativePG.
RESERVED = re.compile(
    r"pg_.*|cloudsql.*|alloydb.*|rds.*|azure.*|streaming_replica|postgres|public|none"
)


@dataclass(frozen=True)
class Node:
    """One server of the cluster."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class PostgreSQLSettings:
    """The ``issuer`` object of a policy, without ``kind``."""

    #: Address of the primary, as the function reaches it.
    host: str
    database: str
    #: The two login roles a rotation alternates between.
    slots: tuple[str, str]
    #: NOLOGIN role that owns every object; both slots become it at login.
    owner: str
    #: Secret that holds the rotator's username and password, or ``iam``.
    admin: str
    port: int = 5432
    #: Database user of the function's own identity; only with ``admin: iam``.
    admin_user: str = ""
    #: Every standby consumers read from, as ``host`` or ``host:port``.
    replicas: tuple[str, ...] = ()
    tls: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    #: File of trusted certificates; empty: those of the system.
    tls_root_cert: str = ""
    #: Read-only queries that every new credential must be able to run.
    probes: tuple[str, ...] = ()
    #: Seconds until a login attempt is given up.
    connect_timeout: int = 5
    #: Seconds to wait for another rotator's lock.
    lock_timeout: int = 5
    #: Seconds one statement may take, probes included.
    statement_timeout: int = 15
    #: Seconds to wait until a replica has replayed a change.
    replica_timeout: int = 30

    def __post_init__(self) -> None:
        first, second = self.slots
        if len({first, second, self.owner}) < len((first, second, self.owner)):
            raise PolicyError("slots and owner must be three different roles")
        for slot in self.slots:
            if RESERVED.fullmatch(slot):
                raise PolicyError(f"{slot!r} is a reserved role and cannot be a slot")
        for name in (*self.slots, self.owner, self.database):
            if not name or "\0" in name or len(name.encode()) > NAME_BYTES:
                raise PolicyError(f"{name!r} is not a name of 1 to {NAME_BYTES} bytes")
        self._check_admin()
        if not 1 <= self.port <= _LAST_PORT:
            raise PolicyError(f"port must be between 1 and {_LAST_PORT}")
        if self.tls == "verify-ca" and not self.tls_root_cert:
            raise PolicyError("tls: verify-ca needs tls_root_cert")
        for replica in self.replicas:
            _node(replica, self.port)

    def _check_admin(self) -> None:
        if self.admin != IAM:
            _check_secret(self.admin)
        if (self.admin == IAM) != bool(self.admin_user):
            raise PolicyError("admin_user is needed with admin: iam, and only there")
        if self.admin == IAM and self.tls == "disable":
            raise PolicyError("admin: iam sends an access token and needs tls")

    @property
    def primary(self) -> Node:
        """The node that takes writes."""
        return Node(self.host, self.port)

    @property
    def standbys(self) -> tuple[Node, ...]:
        """The replicas; their port is the primary's unless written out."""
        return tuple(_node(replica, self.port) for replica in self.replicas)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, the primary first."""
        return (self.primary, *self.standbys)

    def sibling(self, slot: str) -> str:
        """Return the other slot."""
        first, second = self.slots
        return first if slot == second else second

    @property
    def admin_version(self) -> str:
        """Full name of the version that holds the rotator's login."""
        return self.admin if "/versions/" in self.admin else f"{self.admin}/versions/latest"


def _check_secret(name: str) -> None:
    try:
        SecretName.parse(name.partition("/versions/")[0])
    except BadNameError as error:
        raise PolicyError(f"admin: {error}, or iam") from None


def _node(text: str, port: int) -> Node:
    if text.count(":") > 1 and not text.startswith("["):
        return Node(text, port)  # a bare IPv6 address; with a port it is written [::1]:5432
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]\s]+)(?::(\d{1,5}))?", text)
    if match is None:
        raise PolicyError(f"{text!r} is not a replica: write host or host:port")
    return Node(match[1].strip("[]"), int(match[2] or port))
