"""What a system that mints credentials must offer.

One issuer object serves one secret: it is built from the settings in the secret's policy and an
`IssuerEnvironment`, and may be used again for the next rotation of a secret with equal settings
(then a kept admin connection saves a login and a read).
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
    """What an issuer may ask its surroundings for."""

    #: Payload of a version by its full name (``projects/P/secrets/S/versions/V``).
    read_payload: Callable[[str], Payload]
    #: An OAuth access token of the process's own identity, for ``admin: iam``.
    access_token: Callable[[], str]


class Issuer(Protocol):
    """The external system in which one secret's credential lives.

    Any call may be repeated after a crash: a repeat succeeds without a second effect.
    Calls that change something carry ``token``; one whose token is older than a token the target
    has already seen raises `StaleTokenError` and changes nothing.

    Every call may raise `TemporaryError` (unreachable, busy, lock not got), `UnknownOutcomeError`
    (the connection was lost while committing) and `PermanentError` (with a remedy).
    """

    spec: ClassVar[IssuerSpec]

    def __init__(self, settings: Any, environment: IssuerEnvironment) -> None: ...  # noqa: ANN401

    def connect(self) -> None:
        """Open (or check) the admin connection.  Changes nothing; runs beside other calls."""

    def slots(self) -> tuple[str, str]:
        """Return the two identities this issuer alternates between."""

    def slot_of(self, payload: Payload) -> str:
        """Return the slot a payload logs in as.

        Raises:
            PayloadError: Not JSON, a key is missing, or the user is none of the slots.
        """

    def propose(self, slot: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a new candidate for ``slot``; keeps foreign keys of ``current``.  No I/O."""

    def mint(self, slot: str, candidate: Payload, token: int, version: int) -> Minted:
        """Give ``slot`` the candidate's credential, fenced by ``token``.

        ``version`` is the number the candidate is expected to get; it is recorded beside the token.

        Raises:
            CandidateRejectedError: Refused by rule; propose another.
            SlotInUseError: A session that is not ours is on the slot.
        """

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:
        """Log in as a consumer would, everywhere, and prove identity and rights.

        With ``minted``, waits a bounded time for replicas to replay up to it.

        Raises:
            CredentialRefusedError: A server answered, and said no.
            PermanentError: The login works but proves the wrong identity or lacks a right.
        """

    def suspend(self, slot: str, token: int) -> None:
        """Stop new logins of ``slot``, reversibly; open sessions live on."""

    def restore(self, slot: str, token: int) -> None:
        """Undo `suspend`: the same credential works again."""

    def revoke(self, slot: str, token: int) -> int:
        """Make the slot's credential useless for ever and end its sessions; return how many."""

    def observe(self, slot: str, witness: Payload) -> Observation:
        """Look who is on ``slot``, on every node.

        ``witness`` is a working credential of the other slot: it opens the planted session that
        proves the observer can see.
        """

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:
        """Check everything a rotation needs; change nothing that lasts.

        ``token`` is the newest one of the secret; a target that has seen a newer one was restored
        or is shared.
        """

    def close(self) -> None:
        """Close what is open.  May be called twice."""


@runtime_checkable
class Placed(Protocol):
    """An issuer that can say where its credential lives; issuers need not be able to."""

    def place(self) -> str:
        """Name the server and what lies on it, such as ``10.0.0.5:5432/orders``; no I/O.

        Secrets of one place share its connections: nobody asks for all of them at once.
        """
