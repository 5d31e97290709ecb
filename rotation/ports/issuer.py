"""What a system that mints credentials must offer, and what it may offer beyond that.

One issuer object serves one secret: it is built from the settings in the secret's policy and an
`IssuerEnvironment`, and may be used again for the next rotation of a secret with equal settings
(then a kept admin connection saves a login and a read).

A *handle* says which of the issuer's identities or keys a payload is: the role of a slot, the id
of a key.  It is a short text of at most 63 bytes, no secret, and opaque to everybody else; it is
stored with the rotation.

Rules of this module:
  1. `Issuer` is what every system can.  What only some can is a small port of its own, and the
     issuer's spec declares it (`rotation.model.plugin.Capabilities`); the registry refuses a spec
     that declares what its class lacks, or the other way round.
  2. Nobody asks an issuer for anything that is in neither.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

from msgspec import Struct

from rotation.model.payload import Payload
from rotation.model.plugin import (
    Finding,
    IssuerSpec,
    Minted,
    Observation,
    Verification,
)


class IssuerEnvironment(Struct, frozen=True):
    """What an issuer may ask its environment for."""

    #: Payload of a version by its full name (``projects/P/secrets/S/versions/V``).
    read_payload: Callable[[str], Payload]
    #: An OAuth access token of the process's own identity, for ``admin: iam``.
    access_token: Callable[[], str]
    #: Full name of the secret that the issuer serves, as Secret Manager answers it; it may be
    #: recorded beside the credential, so that no other secret changes it.  Empty: not known, and
    #: then nothing that bears a name may be changed.
    secret: str = ""


class MintRequest(Struct, frozen=True, kw_only=True):
    """What is asked of `Issuer.mint`."""

    #: As `Issuer.next_handle` returned it.
    handle: str
    rotation_id: str
    token: int
    #: Number that the version is expected to get; recorded beside the token where that is possible.
    version: int
    #: Payload in force; None: this is the first credential.
    current: Payload | None = None
    #: As `Composes.propose` returned it; None where the system makes the value itself.
    candidate: Payload | None = None

    @property
    def proposed(self) -> Payload:
        """The candidate of an issuer whose values are ours."""
        if self.candidate is None:
            raise LookupError("nothing was proposed, and the value is ours to make")
        return self.candidate


class Issuer(Protocol):
    """The external system in which one secret's credential lives.

    Any call may be repeated after a crash: a repeat succeeds without a second effect.
    Calls that change something carry a token; one whose token is older than a token the system
    has already seen raises `StaleTokenError` and changes nothing.  How far that holds is the
    ``fence`` of the spec's capabilities.

    Every call may raise `TemporaryError` (unreachable, busy, lock not got), `UnknownOutcomeError`
    (the connection was lost while committing) and `PermanentError` (with a remedy).
    """

    spec: ClassVar[IssuerSpec]

    def __init__(self, settings: Any, environment: IssuerEnvironment) -> None: ...  # noqa: ANN401

    def connect(self) -> None:
        """Open (or check) the admin connection.  Changes nothing; runs beside other calls."""

    def identify(self, payload: Payload) -> str:
        """Return the handle of a payload.  No I/O.

        Raises:
            PayloadError: It is none of this issuer's: another shape, or an identity it may not use.
        """

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:
        """Return the handle to mint next: another one than that of ``current``.  No I/O.

        The same arguments give the same handle.
        """

    def mint(self, request: MintRequest) -> Minted:
        """Make the next credential, fenced; return the payload that consumers are to be given.

        Raises:
            CandidateRejectedError: Refused by rule; propose another.
            SlotInUseError: A session that is not ours uses what would be changed.
        """

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        """Use the credential as a consumer would, everywhere, and prove identity and rights.

        With ``minted``, waits a bounded time for replicas to replay up to it.

        Raises:
            CredentialRefusedError: A server answered, and refused.
            PermanentError: It works but proves the wrong identity or lacks a right.
        """

    def revoke(self, handle: str, token: int) -> int:
        """Make the credential useless for ever and end its sessions; return how many."""

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:
        """Check everything a rotation needs; change nothing that lasts.

        ``token`` is the newest one of the secret; a system that has seen a newer one was restored
        or is shared.  Without ``current`` what needs a login is left out.
        """

    def close(self) -> None:
        """Close what is open.  May be called twice."""


@runtime_checkable
class Composes(Protocol):
    """An issuer whose values are ours: made and known before the system is asked for anything."""

    def propose(self, handle: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a new candidate; keeps foreign keys of ``current``.  No I/O."""


@runtime_checkable
class Suspends(Protocol):
    """An issuer that can take a credential out of use and give it back."""

    def suspend(self, handle: str, token: int) -> None:
        """Stop new logins, reversibly; open sessions live on."""

    def restore(self, handle: str, token: int) -> None:
        """Undo `suspend`: the same credential works again."""


@runtime_checkable
class SeesUse(Protocol):
    """An issuer that can show who uses a credential."""

    def handles(self) -> tuple[str, ...]:
        """Return every handle that may be in use.  No I/O."""

    def observe(self, handle: str, witness: Payload | None) -> Observation:
        """Look who uses the credential, on every node.

        ``witness`` is a working credential under another handle: it opens the planted session that
        proves the observer can see.  Without one no proof is possible, and the answer says so.
        """


@runtime_checkable
class Located(Protocol):
    """An issuer that can say where its credential lives."""

    def location(self) -> str:
        """Name the server and what lies on it, such as ``10.0.0.5:5432/orders``; no I/O.

        Secrets of one place share its connections: nobody asks for all of them at once.
        """


@runtime_checkable
class ReadsSecrets(Protocol):
    """An issuer that needs other secrets, such as its own login."""

    def reads(self) -> tuple[str, ...]:
        """Return the full names of the versions it reads.  No I/O."""
