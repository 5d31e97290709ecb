"""What target and policy say about one PostgreSQL database, checked as far as text can be.

Rules of this module:
  1. TLS is verified fully unless the target writes out something weaker.
  2. A name that PostgreSQL or a cloud keeps for itself is never a slot, nor the owner.
  3. What the server or libpq would refuse, cut or take for something else is refused here.
  4. Of the values only names of roles and of the database are quoted: where an address or a
     secret's name belongs, people paste connection strings with passwords.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from rotation.issuers._settings import ServerSettings
from rotation.issuers._slots.admin import IAM
from rotation.issuers._slots.slot import sibling_of
from rotation.issuers.postgresql import probes
from rotation.kit.credentials.credential import PayloadShape
from rotation.kit.net.node import LAST_PORT, Node, parse_nodes
from rotation.model.errors import PolicyError
from rotation.model.payload import ROTATION_ID
from rotation.model.target import Refusal, fits_one
from rotation.model.text import Lines

#: PostgreSQL cuts longer names silently, and two cut names may be the same.
NAME_BYTES = 63
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
class PostgreSQLTarget(ServerSettings):
    """A PostgreSQL database that may be touched, and which roles there may be changed."""

    #: Address of the primary, as the function reaches it.
    host: str
    #: Database that the rotator connects to; always the same one of a cluster.
    database: str
    #: Secret that holds the rotator's username and password, or ``iam``.
    admin: str
    #: Login roles that may be slots; ``*`` stands for any characters.
    roles: tuple[str, ...] = ()
    #: Roles that may be the owner; ``*`` stands for any characters.
    owners: tuple[str, ...] = ()
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
    #: Seconds until a login attempt is given up.
    connect_timeout: int = 5
    #: Seconds to wait for another rotator's lock.
    lock_timeout: int = 5
    #: Seconds one statement may take, probes included.
    statement_timeout: int = 15
    #: Seconds to wait until a replica has replayed a change.
    replica_timeout: int = 30

    def __post_init__(self) -> None:
        _check_name(self.database)
        self._check_admin()
        self._check_nodes()
        self.check_seconds(_LONGEST_TIMEOUT, *_TIMEOUTS)
        self.check_trust()

    def _check_nodes(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise PolicyError("host must be one name or address, without a port")
        if not 1 <= self.port <= LAST_PORT:
            raise PolicyError(f"port must be between 1 and {LAST_PORT}")
        parse_nodes("replicas", self.replicas, self.port)

    def _check_admin(self) -> None:
        if self.admin != IAM:
            self.check_admin("iam, or ")
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
        return parse_nodes("replicas", self.replicas, self.port)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node, the primary first."""
        return (self.primary, *self.standbys)

    def reaches(self) -> str:
        """Say which nodes, and with whose login."""
        nodes = ", ".join(f"{node.host}:{node.port}" for node in self.nodes)
        login = f"the identity {self.admin_user}" if self.admin == IAM else f"login {self.admin}"
        return f"{nodes} with the {login}"


@dataclass(frozen=True, kw_only=True)
class PostgreSQLSettings(PostgreSQLTarget):
    """The ``issuer`` object of a policy, without ``kind``."""

    #: The two login roles a rotation alternates between.
    slots: tuple[str, str]
    #: NOLOGIN role that owns every object; both slots become it at login.
    owner: str
    #: Queries that every new credential must be able to run: one that reads in each, up to its
    #: first row.
    probes: tuple[Lines, ...] = ()
    #: How a new version is spelled.
    payload: PayloadShape = field(default_factory=PayloadShape)

    def __post_init__(self) -> None:
        super().__post_init__()
        first, second = self.slots
        if len({first, second, self.owner}) < len((first, second, self.owner)):
            raise PolicyError("slots and owner must be three different roles")
        for name, use in ((first, "a slot"), (second, "a slot"), (self.owner, "the owner")):
            if RESERVED.fullmatch(name):
                raise PolicyError(f"{name!r} is a reserved role and cannot be {use}")
        for name in (*self.slots, self.owner):
            _check_name(name)
        self._check_payload()
        for index, probe in enumerate(self.probes):
            if fault := probes.fault(probe):
                raise PolicyError(
                    f"probes[{index}]: {fault}", remedy="write one query that only reads"
                )

    def refusals(self) -> Iterator[Refusal]:
        """Yield the roles that the target does not let a policy name."""
        for slot in self.slots:
            if not fits_one(self.roles, slot):
                yield Refusal("roles", f"the slot {slot!r} may not be changed")
        if not fits_one(self.owners, self.owner):
            yield Refusal("owners", f"{self.owner!r} may not be the owner")

    def _check_payload(self) -> None:
        keys = (self.payload.username, self.payload.password)
        if not all(keys) or keys[0] == keys[1] or ROTATION_ID in keys:
            raise PolicyError("payload.username and payload.password must be two keys of their own")
        if self.payload.shape != "json" and keys != ("username", "password"):
            raise PolicyError("payload.username and payload.password are for the shape json only")
        if self.payload.bare_user and self.payload.bare_user not in self.slots:
            raise PolicyError("payload.bare_user must be one of the slots")

    def sibling(self, slot: str) -> str:
        """Return the other slot."""
        return sibling_of(slot, self.slots)


def _check_name(name: str) -> None:
    if not name or "\0" in name or len(name.encode()) > NAME_BYTES:
        shown = repr(name[:_SHOWN])
        raise PolicyError(f"{shown} is not a name of 1 to {NAME_BYTES} bytes")
