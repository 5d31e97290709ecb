"""How plugins describe themselves and what they report.

Rules of this module:
  1. A spec is frozen data: manifests, permissions and documentation are rendered from it.
  2. Reports never hold a secret value.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Severity(Enum):
    """How bad a preflight finding is."""

    OK = "ok"
    WARNING = "warning"
    #: The rotation cannot work until this is mended.
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One preflight check: what was seen, why it matters, what mends it."""

    #: Slug of the check, stable across releases.
    check: str
    severity: Severity
    message: str
    #: The exact command or statement that mends it; empty when there is nothing to do.
    remedy: str = ""


@dataclass(frozen=True)
class IssuerSpec:
    """An issuer's description of itself."""

    #: Value of ``issuer.kind`` in a policy.
    name: str
    title: str
    #: What a rotation changes in the external system, one sentence.
    changes: str
    #: Frozen dataclass that the policy's ``issuer`` object is decoded into (without ``kind``).
    settings: type
    #: True: two slots, old and new both work.  False: one identity, there is a window.
    overlapping: bool
    permissions: tuple[str, ...] = ()
    permissions_not_needed: tuple[str, ...] = ()
    #: Rights the rotator's own login needs in the external system.
    rights: tuple[str, ...] = ()
    #: What it must reach over the network.
    network: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParticipantSpec:
    """A participant's description of itself."""

    #: Value of ``kind`` in a rollout stage.
    name: str
    title: str
    changes: str
    settings: type
    #: True: the change is part of the secret itself and rides in the worker's compare-and-set.
    rides_in_write: bool = False
    permissions: tuple[str, ...] = ()
    permissions_not_needed: tuple[str, ...] = ()
    #: What it must reach over the network.
    network: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateSpec:
    """A gate's description of itself."""

    #: Value of ``kind`` in a stage's ``gates``.
    name: str
    title: str
    #: What it looks at, one sentence.
    looks_at: str
    settings: type
    permissions: tuple[str, ...] = ()
    permissions_not_needed: tuple[str, ...] = ()
    #: What it must reach over the network.
    network: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """One session somebody has open on a slot."""

    #: Host and port of the server the session is on.
    node: str
    #: Address and application name, as the server knows them.
    client: str
    since: datetime | None = None


@dataclass(frozen=True)
class Observation:
    """Who uses a slot now, and whether the observer could see at all."""

    #: Sessions on the slot, on every node; our own are left out.
    sessions: tuple[Session, ...]
    #: True when a session planted on every node was seen: only then an empty list means zero.
    sighted: bool
    nodes: tuple[str, ...]
    #: Why it is not sighted; empty otherwise.
    blindness: str = ""


@dataclass(frozen=True)
class Verification:
    """What a login with a credential proved."""

    #: Nodes logged in to.
    nodes: tuple[str, ...]
    #: Who the session is, for example ``orders_owner``.
    identity: str
    #: Number of probe queries that passed on each node.
    probes: int = 0


@dataclass(frozen=True)
class Minted:
    """Proof that the issuer has the candidate."""

    slot: str
    #: How far a replica must have replayed to know it; None where there are no replicas.
    position: str | None = None


@dataclass(frozen=True)
class Change:
    """From which version to which."""

    previous: int | None
    next: int
