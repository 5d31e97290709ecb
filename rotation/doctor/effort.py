"""Decides how many secrets the doctor looks at, and how fast; looks at nothing.

Each secret costs a few reads of Secret Manager, out of the quota that the function lives on.
Rules of this module:
  1. Beyond `MOST` secrets a sample is looked at, unless somebody asks for all of them.
  2. Every day has its own sample, so that a daily look comes to all in time; within a day it is the
     same, so that what was mended can be looked at again.
  3. More than `MOST` are looked at no faster than `SHARE` of the quota carries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from zlib import crc32

from rotation.model.secret import Secret

#: So many secrets are looked at without a question: their reads fit into one minute's quota.
MOST: Final = 100
#: Reads of one secret: the states of two versions, and who may do what on it and on its rotator's.
READS: Final = 4
#: Part of the quota of reads that many secrets take.
SHARE: Final = 0.5
_MINUTE: Final = 60.0


@dataclass(frozen=True)
class Effort:
    """What a look costs."""

    #: Secrets looked at, and how many there are.
    secrets: int
    of: int
    #: Reads a minute of the quota; 0: any number.
    per_minute: float

    @property
    def interval(self) -> float:
        """Seconds from one secret to the next; 0: as fast as it goes."""
        if self.secrets <= MOST or not self.per_minute:
            return 0.0
        return READS * _MINUTE / (self.per_minute * SHARE)


def sample(secrets: Sequence[Secret], day: date) -> Sequence[Secret]:
    """Return the secrets that are looked at on a day, in the order given."""
    if len(secrets) <= MOST:
        return secrets
    drawn = sorted(secrets, key=lambda secret: crc32(str(secret.name).encode()))
    parts = -(-len(drawn) // MOST)
    names = {secret.name for secret in drawn[day.toordinal() % parts :: parts]}
    return [secret for secret in secrets if secret.name in names]


def cost(effort: Effort) -> str:
    """Say what a look at many secrets costs; empty: not worth mentioning."""
    if effort.of <= MOST:
        return ""
    if effort.secrets == effort.of:
        return f"{effort.of} secrets: {_reads(effort)}"
    whole = _reads(Effort(effort.of, effort.of, effort.per_minute))
    return (
        f"{effort.of} secrets: looking at {effort.secrets} of them, others every day;"
        f" {_reads(effort)}. All of them: --all, {whole}"
    )


def _reads(effort: Effort) -> str:
    reads = f"about {effort.secrets * READS} reads of Secret Manager"
    if not effort.interval:
        return reads
    minutes = max(round(effort.secrets * effort.interval / _MINUTE), 1)
    return f"{reads} in {minutes} min, {SHARE:.0%} of the quota of {effort.per_minute:g} a minute"
