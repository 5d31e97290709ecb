"""Finds out, by number, which versions exist beyond a known one, and cleans up orphans.

An orphan is a version that a rotation of this product added and nobody uses: its worker had lost
the lease.  Only reading a version by its number is strongly consistent, so nothing is listed here.
Rules of this module:
  1. A version of ours is recognised by the rotation id in its payload.  What a person added is
     left alone.
  2. ``latest`` is the newest version whatever its state: where the newest is an orphan or
     disabled, a version with the payload in force is added behind it first, so that consumers of
     ``latest`` have something to read.
  3. Every step may be repeated: an added copy is recognised by its payload.  It always carries a
     rotation id, so that it is known for ours when its credential is in force no longer.
"""

from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from rotation.engine.run import Run
from rotation.model.errors import NotFoundError, UnknownOutcomeError, VersionUnavailableError
from rotation.model.names import SecretName
from rotation.model.payload import ROTATION_ID, Payload
from rotation.ports.secrets import SecretStore


class Kind(Enum):
    """What a version beyond the known ones is."""

    #: Added by the rotation that is asking.
    OURS = "ours"
    #: Added by another rotation of this product; nobody uses it.
    STALE = "stale"
    #: Carries the payload in force.
    COPY = "copy"
    #: Added by a person.
    FOREIGN = "foreign"
    #: Disabled or destroyed.
    GONE = "gone"


class Found(Struct, frozen=True):
    """One version found by number."""

    number: int
    kind: Kind
    payload: Payload | None = None


class CleanedUp(Struct, frozen=True):
    """What is known after orphans were cleaned up."""

    #: Highest version number there is.
    highest: int
    #: Versions that carry the payload in force.
    copies: tuple[int, ...]
    #: Versions disabled now.
    disabled: tuple[int, ...]
    #: Copies of the previous payload, left as they are.
    spared: tuple[int, ...] = ()


def beyond(
    store: SecretStore, name: SecretName, last: int, rotation_id: str, in_force: Payload | None
) -> Iterator[Found]:
    """Yield the versions numbered above ``last``, in order, until there is none."""
    number = last + 1
    while True:
        try:
            payload = store.access(name, number).payload
            yield judge(number, payload, rotation_id, in_force)
        except VersionUnavailableError:
            yield Found(number, Kind.GONE)
        except NotFoundError:
            return
        number += 1


def judge(
    number: int, payload: Payload | None, rotation_id: str, in_force: Payload | None
) -> Found:
    """Say what a version is to the rotation that asks; no payload: it cannot be read."""
    if payload is None:
        return Found(number, Kind.GONE)
    made_by = payload.rotation_id()
    if in_force is not None and _is_copy(payload, in_force):
        kind = Kind.COPY
    elif made_by is None:
        kind = Kind.FOREIGN
    else:
        kind = Kind.OURS if made_by == rotation_id else Kind.STALE
    return Found(number, kind, payload)


def add_once(store: SecretStore, name: SecretName, payload: Payload, last: int) -> int:
    """Add a version; after an unknown outcome look for it, by number, before adding again."""
    try:
        return store.add_version(name, payload)
    except UnknownOutcomeError:
        for found in beyond(store, name, last, "", payload):
            if found.kind is Kind.COPY:
                return found.number
        return store.add_version(name, payload)


def clean_up_orphans(run: Run, last: int, rotation_id: str) -> CleanedUp:
    """Disable every version of ours above ``last``; keep ``latest`` readable."""
    store, name, in_force = run.store, run.secret.name, run.payload
    return clean_up_among(
        run, last, rotation_id, list(beyond(store, name, last, rotation_id, in_force))
    )


def clean_up_among(
    run: Run, last: int, rotation_id: str, found: list[Found], previous: Payload | None = None
) -> CleanedUp:
    """Like `clean_up_orphans`, for versions that were found already.

    Copies of ``previous`` stay enabled, as its consumers may have read them; but ``latest`` has to
    serve the payload in force.
    """
    store, name, in_force = run.store, run.secret.name, run.payload
    while found and in_force is not None and not _serves(found[-1], previous):
        run.hold.reload()
        add_once(store, name, _marked(in_force, rotation_id), found[-1].number)
        # Others may have added versions meanwhile: below the copy, or behind it.
        found = list(beyond(store, name, last, rotation_id, in_force))
    spared = tuple(finding.number for finding in found if _carries(finding, previous))
    ours = [finding.number for finding in found if finding.kind in (Kind.OURS, Kind.STALE)]
    orphans = tuple(number for number in ours if number not in spared)
    for number in orphans:
        run.versions.disable(number)
    copies = tuple(finding.number for finding in found if finding.kind is Kind.COPY)
    return CleanedUp(found[-1].number if found else last, copies, orphans, spared)


def _serves(newest: Found, previous: Payload | None) -> bool:
    return newest.kind in (Kind.COPY, Kind.FOREIGN) and not _carries(newest, previous)


def _carries(found: Found, payload: Payload | None) -> bool:
    return payload is not None and found.payload is not None and _is_copy(found.payload, payload)


def _marked(payload: Payload, rotation_id: str) -> Payload:
    """Return the payload with a rotation id: its own, or else one that says who copied it."""
    if payload.rotation_id() is not None or not payload.is_object:
        return payload  # a person's text has no place for an id; such a copy is known by its bytes
    return Payload.of({**payload.fields(), ROTATION_ID: rotation_id or "copy"})


def _is_copy(payload: Payload, other: Payload) -> bool:
    if payload == other:
        return True
    if payload.rotation_id() is None or other.rotation_id() is not None:
        return False
    if not (payload.is_object and other.is_object):
        return False
    return {**payload.fields(), ROTATION_ID: None} == {**other.fields(), ROTATION_ID: None}
