"""Runs every check over the facts: secrets side by side, on a bounded number of threads.

1. Findings come in the order of the secrets and of the tables, whatever ended first.
2. A check that fails is a finding, and stops no other.
3. Many secrets are begun one after the other, at the pace that `rotation.doctor.effort` decides.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from rotation.doctor import check_installation, check_parts, check_secret
from rotation.doctor.facts import Installation
from rotation.doctor.findings import INSTALLATION, Finding, Severity
from rotation.doctor.reading import Sources, read_installation, read_secret, read_shared
from rotation.model.secret import Secret

_Facts = TypeVar("_Facts")

#: Secrets looked at side by side; each takes a connection or two to its database.
THREADS: Final = 8


def examine(
    sources: Sources,
    secrets: Sequence[Secret],
    everything: Sequence[Secret],
    progress: Callable[[str], None],
    interval: float = 0.0,
) -> tuple[Finding, ...]:
    """Look at the installation and at each secret.

    Args:
        sources: What to read with.
        secrets: Those to look at.
        everything: All managed secrets of the project, for what they share.
        progress: Called with the name of each secret that is done.
        interval: Seconds from the begin of one secret to that of the next.
    """
    installation = read_installation(sources, everything)
    shared = read_shared(sources, installation, secrets)

    def one(secret: Secret) -> tuple[Finding, ...]:
        try:
            facts = read_secret(sources, shared, secret)
            checks = (*check_secret.CHECKS, *check_parts.CHECKS)
            return tuple(_run(checks, facts, str(secret.name)))
        except Exception as error:  # noqa: BLE001 - rule 2
            return (_fault(str(secret.name), "reading it", error),)
        finally:
            progress(secret.name.secret_id)

    begun = time.monotonic()

    def in_turn(place: int) -> tuple[Finding, ...]:
        time.sleep(max(begun + place * interval - time.monotonic(), 0.0))
        return one(secrets[place])

    with ThreadPoolExecutor(THREADS, thread_name_prefix="doctor") as pool:
        found = list(pool.map(in_turn, range(len(secrets))))
    return (*judge_installation(installation), *(finding for some in found for finding in some))


def judge_installation(facts: Installation) -> tuple[Finding, ...]:
    """Return what is wrong with what all secrets share."""
    return tuple(_run(check_installation.CHECKS, facts, INSTALLATION))


def _run(
    checks: Sequence[Callable[[_Facts], Iterator[Finding]]], facts: _Facts, about: str
) -> Iterator[Finding]:
    for check in checks:
        try:
            found = list(check(facts))
        except Exception as error:  # noqa: BLE001 - rule 2
            found = [_fault(about, f"the check {check.__name__}", error)]
        yield from found


def _fault(about: str, what: str, error: Exception) -> Finding:
    message = f"{what} failed with {type(error).__name__}: a fault of this program"
    return Finding("not-seen", Severity.UNSEEN, about, message, "please report it")
