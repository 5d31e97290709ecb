"""How plugins describe themselves and what they report.

Rules of this module:
  1. A spec is frozen data: manifests, permissions and documentation are rendered from it.
  2. Reports never hold a secret value.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum

from msgspec import Struct

from rotation.model.payload import Payload
from rotation.model.permission import FailureMode, NotNeeded, Permission


class Severity(Enum):
    """How bad a preflight finding is."""

    OK = "ok"
    WARNING = "warning"
    #: It takes a credential in force to tell, and there is none yet.
    UNTESTED = "untested"
    #: The rotation cannot work until this is mended.
    ERROR = "error"


class Finding(Struct, frozen=True):
    """One preflight check: what was found, why it matters, what mends it."""

    #: Slug of the check, stable across releases.
    check: str
    severity: Severity
    message: str
    #: The exact command or statement that mends it; empty when there is nothing to do.
    remedy: str = ""


class Spec(Struct, frozen=True):
    """What every plugin says of itself."""

    #: The name policies use: value of ``kind``.
    name: str
    #: One line.
    title: str
    #: What it changes in the outside world, or looks at; one sentence.
    does: str
    #: Frozen dataclass that the policy's object is decoded into (without ``kind``).
    settings: type
    permissions: tuple[Permission, ...] = ()
    permissions_not_needed: tuple[NotNeeded, ...] = ()
    #: Rights it needs in the system outside, beyond IAM.
    rights: tuple[str, ...] = ()
    #: What it must reach over the network.
    network: tuple[str, ...] = ()
    #: What may go wrong, and what happens then.
    failure_modes: tuple[FailureMode, ...] = ()
    #: Text for its page that fits nowhere else; Markdown.
    notes: str = ""
    #: A guide beside the page, a file in ``deploy/docs``; empty: there is none.
    guide: str = ""


class Fence(Enum):
    """What keeps a late worker from changing a credential that is not its own any more."""

    #: The system compares the token in the very step that changes the credential.
    TARGET = "target"
    #: A key is made under an id of its own: a late worker adds one that nobody uses.
    KEY_ID = "key id"
    #: Nothing outside changes: the write of the secret is the change.
    SECRET = "secret itself"  # noqa: S105 - no password
    #: Nothing does; the window is documented.
    NONE = "none"


class MadeBy(Enum):
    """Who makes the value of a credential."""

    #: We do, before the system knows it; the issuer is a `rotation.ports.issuer.Composes`.
    OURS = "ours"
    #: The system does, while minting.
    THEIRS = "theirs"


class Capabilities(Struct, frozen=True, kw_only=True):
    """What an issuer can; the engine obeys it and assumes nothing else."""

    #: Old and new both work for a while.
    overlap: bool
    fence: Fence
    made_by: MadeBy
    #: A credential can be taken out of use and given back unchanged.
    suspends: bool
    #: It shows who uses a credential, and proves that it sees.
    sees_use: bool


class IssuerSpec(Spec, frozen=True, kw_only=True):
    """An issuer's description of itself."""

    capabilities: Capabilities
    #: What a person runs once so that the rotator has its rights: texts by file name.
    grants: Callable[[], Mapping[str, str]] = dict


class ParticipantSpec(Spec, frozen=True):
    """A participant's description of itself."""

    #: True: the change is part of the secret itself and rides in the worker's compare-and-set.
    rides_in_write: bool = False


class GateSpec(Spec, frozen=True):
    """A gate's description of itself."""

    #: It asks the issuer who uses which credential, and can say nothing without.
    needs_use: bool = False


class Session(Struct, frozen=True):
    """One session somebody has open with a credential."""

    #: Host and port of the server the session is on.
    node: str
    #: Address and application name, as the server knows them.
    client: str
    since: datetime | None = None


class Observation(Struct, frozen=True):
    """Who uses a credential now, and whether the observer could see at all."""

    #: Sessions with it, on every node; our own are left out.
    sessions: tuple[Session, ...]
    #: True when a session planted on every node showed up: only then an empty list means zero.
    is_conclusive: bool
    nodes: tuple[str, ...]
    #: Why it is not conclusive; empty otherwise.
    unobservable_reason: str = ""


class Verification(Struct, frozen=True):
    """What a login with a credential proved."""

    #: Nodes logged in to.
    nodes: tuple[str, ...]
    #: Who the session is, for example ``orders_owner``.
    identity: str
    #: Number of probe queries that passed on each node.
    probes: int = 0


class Minted(Struct, frozen=True):
    """Proof that the issuer has the credential, and what consumers are to be given."""

    handle: str
    payload: Payload
    #: How far a replica must have replayed to know it; None where there are no replicas.
    position: str | None = None


class Change(Struct, frozen=True):
    """From which version to which."""

    previous: int | None
    next: int
