"""What a worker is made of, as records; the composition root puts them together once."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from msgspec import Struct, field

from rotation.engine.crashpoints import Reach
from rotation.engine.gather import Gather, in_turn
from rotation.engine.participants import RolloutEnvironment
from rotation.engine.pool import IssuerPool
from rotation.model.keys import KeyRing
from rotation.policies.policy import Kinds
from rotation.ports.clock import Clock
from rotation.ports.gate import Gate
from rotation.ports.journal import Journal
from rotation.ports.participant import OutsideParticipant, RidingParticipant
from rotation.ports.publisher import Publisher
from rotation.ports.secrets import SecretStore


class Tools(Struct, frozen=True):
    """What every tick works with."""

    store: SecretStore
    clock: Clock
    reach: Reach
    gather: Gather = in_turn
    pause: Callable[[float], None] = time.sleep
    #: What proves that this deployment wrote a record; None: it signs nothing.
    keys: KeyRing | None = None


class Limits(Struct, frozen=True):
    """Times one worker lives with."""

    #: How long other workers keep away after a claim; at least the ack deadline.
    lease: timedelta
    #: How long one tick may take before it hands over to the next.
    budget: timedelta


class Plugins(Struct, frozen=True):
    """The plugins at hand, by name."""

    issuers: IssuerPool
    participants: Mapping[str, type[RidingParticipant | OutsideParticipant]]
    #: Settings record of each plugin.
    kinds: Kinds
    gates: Mapping[str, type[Gate]] = field(default_factory=dict)
    environment: RolloutEnvironment = field(default_factory=RolloutEnvironment)


class Parts(Struct, frozen=True):
    """Everything."""

    tools: Tools
    plugins: Plugins
    limits: Limits
    journal: Journal
    publisher: Publisher
