"""One secret as read at one moment, and what follows from it: everybody reads a secret by it.

The worker's tick, the commands and doctor ask a `Snapshot`; none of them decodes a policy or the
stored state by itself.

Rules of this module:
  1. Reading changes nothing, asks nobody outside, and needs no payload.
  2. What cannot be understood becomes a fault; it never stops the reading.
  3. What consumers get is what the participants observe; only without any the record is believed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from rotation.engine import codec, sealed
from rotation.engine.participants import pointed, riding_of
from rotation.machine import due, pointing
from rotation.model.errors import PermanentError, PolicyError, StateError
from rotation.model.keys import KeyRing
from rotation.model.phase import Phase
from rotation.model.policy import Policy
from rotation.model.rotation import Block, Brief, Pause, Receipt, State
from rotation.model.secret import Secret
from rotation.policies.policy import Kinds, check_fits, decode_policy


class Snapshot(Struct, frozen=True):
    """One secret as read at one moment."""

    secret: Secret
    now: datetime
    #: None: it has none, or a faulty one.
    policy: Policy | None = None
    policy_fault: PolicyError | None = None
    #: None: it cannot be read.
    state: State | None = None
    state_fault: StateError | None = None
    #: The version consumers get.
    current: int | None = None

    @property
    def short(self) -> str:
        """The secret's id, for people."""
        return self.secret.name.secret_id

    @property
    def faults(self) -> tuple[PermanentError, ...]:
        """What a person must mend before anything can happen; empty when all is well."""
        return tuple(fault for fault in (self.policy_fault, self.state_fault) if fault is not None)

    @property
    def block(self) -> Block | None:
        """Why the worker stopped, even where the rest of the state cannot be read."""
        return codec.read_block(self.secret)

    @property
    def pause(self) -> Pause | None:
        """The last request about a pause, even where the rest of the state cannot be read."""
        return codec.read_pause(self.secret)

    @property
    def receipts(self) -> tuple[Receipt | None, tuple[Brief, ...]]:
        """The last receipt and the short forms of those before, whatever else is wrong.

        Raises:
            StateError: The receipt cannot be read.
        """
        return codec.receipts_of(self.secret)

    @property
    def needs_a_person(self) -> bool:
        """Whether nothing goes on by itself."""
        return bool(self.faults) or codec.BLOCKED in self.secret.labels

    @property
    def paused(self) -> bool:
        """Whether routine rotations are held."""
        return codec.PAUSED in self.secret.labels

    @property
    def is_in_flight(self) -> bool:
        """Whether a rotation is in flight."""
        return self.state is not None and self.state.record is not None

    @property
    def overdue_since(self) -> datetime | None:
        """The scheduled time that should have been served by now."""
        if self.state is None or self.state.phase is not Phase.SETTLED:
            return None
        return due.missed(self.secret, self.state.receipt, self.now)

    @property
    def too_old_since(self) -> datetime | None:
        """When the credential in force became older than a target allows."""
        if self.state is None or self.policy is None or self.state.phase is not Phase.SETTLED:
            return None
        max_age = self.policy.max_age
        return due.too_old(self.secret, self.state.receipt, max_age, self.now)

    @property
    def handle(self) -> str:
        """The handle of the version in force; empty where no record has it."""
        record = self.state.record if self.state else None
        receipt = self.state.receipt if self.state else None
        if record is not None and record.next is not None and record.next == self.current:
            return record.handle
        kept = receipt is not None and receipt.outcome == "rotated"
        return receipt.handle if receipt and kept and receipt.current == self.current else ""

    def check(self) -> None:
        """Make sure that something can happen.

        Raises:
            PermanentError: A person must mend something before.
        """
        if self.faults:
            raise self.faults[0]

    def sound_policy(self) -> Policy:
        """Return the policy.

        Raises:
            PolicyError: It has none, or a faulty one.
        """
        if self.policy is None:
            raise self.policy_fault or _policy_is_gone()
        return self.policy

    def readable_state(self) -> State:
        """Return the state.

        Raises:
            StateError: It cannot be read.
        """
        if self.state is None:
            raise self.state_fault or StateError("the state was not read")
        return self.state


def read_snapshot(
    secret: Secret,
    now: datetime,
    kinds: Kinds,
    participants: Mapping[str, Any],
    keys: KeyRing | None = None,
) -> Snapshot:
    """Read one secret.

    Args:
        secret: As Secret Manager shows it.
        now: When it was read.
        kinds: Settings record of each plugin.
        participants: The participants by the name policies use.
        keys: What the state must be written under; None: under nothing, or nobody here can tell.
    """
    policy, state = None, None
    policy_fault: PolicyError | None = None
    state_fault: StateError | None = None
    try:
        policy = _policy(secret, kinds)
    except PolicyError as error:
        policy_fault = error
    observed = pointed(riding_of(policy, participants), secret.aliases) if policy else None
    try:
        state = sealed.decode(secret, observed, keys)
    except StateError as error:
        state_fault = error
    if policy and state and (policy_fault := _other_issuer(policy, state)):
        policy = None
    current = observed if observed is not None else _recorded(state)
    return Snapshot(secret, now, policy, policy_fault, state, state_fault, current)


def _policy(secret: Secret, kinds: Kinds) -> Policy:
    text, schedule = secret.annotations.get(codec.POLICY), secret.schedule
    if text is None:
        raise _policy_is_gone()
    policy = decode_policy(text, kinds, secret.name)
    check_fits(policy, schedule.period if schedule else None)
    return policy


def _other_issuer(policy: Policy, state: State) -> PolicyError | None:
    """Say that the rotation in flight is another issuer's; its credentials are not this one's."""
    began, kind = state.record.issuer if state.record else "", policy.issuer.kind
    if began in {"", kind}:
        return None
    return PolicyError(
        f"the rotation in flight began with the issuer {began}, and the policy names {kind}",
        remedy=f"put issuer.kind: {began} back, and the rotation goes on; change it once settled",
    )


def _recorded(state: State | None) -> int | None:
    """Return the version that consumers get as far as the record says."""
    if state is None or state.record is None:
        return state.current if state else None
    return pointing.in_force(state.phase, state.record)


def _policy_is_gone() -> PolicyError:
    return PolicyError(
        f"the annotation {codec.POLICY} was removed while a rotation is in flight",
        remedy="put it back with `rotation policy apply`, and the rotation goes on",
    )
