"""What a policy says about one PostgreSQL database, checked as far as text can be.

Rules of this module:
  1. TLS is verified fully unless the policy writes out something weaker.
  2. A name that PostgreSQL or a cloud keeps for itself is never a slot.
  3. What the server or libpq would refuse, cut or take for something else is refused here.
  4. Of the values only names of roles and of the database are quoted: where an address or a
     secret's name belongs, people paste connection strings with passwords.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from rotation.issuers._slots.admin import IAM
from rotation.issuers._slots.slot import Node, sibling_of
from rotation.kit.credentials.credential import PayloadShape
from rotation.model.errors import PolicyError
from rotation.model.names import VersionName
from rotation.model.payload import ROTATION_ID

#: PostgreSQL cuts longer names silently, and two cut names may be the same.
NAME_BYTES = 63
_LAST_PORT = 65535
_LONGEST_TIMEOUT = 3600
_TIMEOUTS = ("connect_timeout", "lock_timeout", "statement_timeout", "replica_timeout")
#: Longest part of a name that is quoted.
_SHOWN = 80
#: One address: libpq takes a comma for a list of hosts.
_HOST = re.compile(r"[^\s,\0]+")
#: How the name of a folder with a Unix socket begins, in libpq's words: there is no TLS on one.
SOCKET = ("/", "@")
#: Levels of TLS that prove who the server is.
_VERIFIED = ("verify-full", "verify-ca")
#: Roles of PostgreSQL itself, Cloud SQL, AlloyDB, RDS, Azure and CloudNativePG.
RESERVED = re.compile(
    r"pg_.*|cloudsql.*|alloydb.*|rds.*|azure.*|streaming_replica|postgres|public|none"
)


@dataclass(frozen=True, kw_only=True)
class PostgreSQLSettings:
    """The ``issuer`` object of a policy, without ``kind``."""

    #: Address of the primary, as the function reaches it.
    host: str
    #: Database that the rotator connects to; always the same one of a cluster.
    database: str
    #: The two login roles a rotation alternates between.
    slots: tuple[str, str]
    #: NOLOGIN role that owns every object; both slots become it at login.
    owner: str
    #: Secret that holds the rotator's username and password, or ``iam``.
    admin: str
    #: Port of the primary.
    port: int = 5432
    #: Database user of the function's own identity; only with ``admin: iam``.
    admin_user: str = ""
    #: Every standby consumers read from, as ``host`` or ``host:port``.
    replicas: tuple[str, ...] = ()
    #: How far TLS is verified.
    tls: Literal["verify-full", "verify-ca", "require", "disable"] = "verify-full"
    #: File of trusted certificates; empty: those of the system.
    tls_root_cert: str = ""
    #: Whether a login under TLS must be bound to the connection; ``prefer`` where a pooler or proxy
    #: ends TLS.
    channel_binding: Literal["require", "prefer"] = "require"
    #: Read-only queries that every new credential must be able to run.
    probes: tuple[str, ...] = ()
    #: How a new version is spelled.
    payload: PayloadShape = field(default_factory=PayloadShape)
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
                shown = repr(name[:_SHOWN])
                raise PolicyError(f"{shown} is not a name of 1 to {NAME_BYTES} bytes")
        self._check_admin()
        self._check_nodes()
        self._check_timeouts()
        self._check_payload()
        if self.tls == "verify-ca" and not self.tls_root_cert:
            raise PolicyError("tls: verify-ca needs tls_root_cert")
        for index, probe in enumerate(self.probes):
            if "\0" in probe:
                raise PolicyError(f"probes[{index}]: PostgreSQL knows no NUL character")

    def _check_payload(self) -> None:
        keys = (self.payload.username, self.payload.password)
        if not all(keys) or keys[0] == keys[1] or ROTATION_ID in keys:
            raise PolicyError("payload.username and payload.password must be two keys of their own")
        if self.payload.shape != "json" and keys != ("username", "password"):
            raise PolicyError("payload.username and payload.password are for the shape json only")
        if self.payload.bare_user and self.payload.bare_user not in self.slots:
            raise PolicyError("payload.bare_user must be one of the slots")

    def _check_nodes(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise PolicyError("host must be one name or address, without a port")
        if not 1 <= self.port <= _LAST_PORT:
            raise PolicyError(f"port must be between 1 and {_LAST_PORT}")
        for index, replica in enumerate(self.replicas):
            if _node(replica, self.port) is None:
                raise PolicyError(f"replicas[{index}] is not a replica: write host or host:port")

    def _check_timeouts(self) -> None:
        for name in _TIMEOUTS:
            if not 1 <= getattr(self, name) <= _LONGEST_TIMEOUT:
                raise PolicyError(f"{name} must be between 1 and {_LONGEST_TIMEOUT} seconds")

    def _check_admin(self) -> None:
        if self.admin != IAM:
            _check_secret(self.admin)
        if (self.admin == IAM) != bool(self.admin_user):
            raise PolicyError("admin_user is needed with admin: iam, and only there")
        is_verified = self.tls in _VERIFIED and not self.host.startswith(SOCKET)
        if self.admin == IAM and not is_verified:
            raise PolicyError(
                "admin: iam sends an access token, and only to a server whose certificate is"
                " verified: tls must be verify-full or verify-ca",
                remedy="for Cloud SQL: tls: verify-ca, and the instance's certificate authority as"
                " tls_root_cert",
            )

    @property
    def primary(self) -> Node:
        """The node that takes writes."""
        return Node(self.host, self.port)

    @property
    def standbys(self) -> tuple[Node, ...]:
        """The replicas; their port is the primary's unless written out."""
        nodes = (_node(replica, self.port) for replica in self.replicas)
        return tuple(node for node in nodes if node)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, the primary first."""
        return (self.primary, *self.standbys)

    def sibling(self, slot: str) -> str:
        """Return the other slot."""
        return sibling_of(slot, self.slots)

    @property
    def admin_version(self) -> str:
        """Full name of the version that holds the rotator's login."""
        return str(VersionName.parse_or_latest(self.admin))


def _check_secret(name: str) -> None:
    if not VersionName.is_name_or_secret(name):
        raise PolicyError("admin must be iam, or a secret: projects/PROJECT/secrets/SECRET")


def _node(text: str, port: int) -> Node | None:
    if not _HOST.fullmatch(text):
        return None
    if text.count(":") > 1 and not text.startswith("["):
        return Node(text, port)  # a bare IPv6 address; with a port it is written [::1]:5432
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]/@]+)(?::([0-9]{1,5}))?", text)
    if match is None or not 1 <= int(match[2] or port) <= _LAST_PORT:
        return None
    return Node(match[1].strip("[]"), int(match[2] or port))
