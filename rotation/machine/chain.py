"""Decide whether receipts are whole: each names the one before it, and the last is on the secret.

Rules of this module:
  1. Every fault is named with its place; one fault does not hide the next.
  2. What is on the secret is the measure: a line that disagrees with it is the one that changed.
  3. The log may hold a receipt twice, since a worker that died may not have logged it: an identical
     repeat there is no fault.  An export has each once.
  4. Of a short form only the digest can be compared, and it is.
  5. What is signed needs only public keys to be checked.  Nothing here can know that receipts
     after the last one were taken away, on the secret and in the log alike.
"""

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rotation.machine import receipts
from rotation.model.rotation import Brief, Receipt

#: Whether the owner of a public key has signed a message: the key, the signature, the message.
Fits = Callable[[bytes, bytes, bytes], bool]


@dataclass(frozen=True)
class Entry:
    """One receipt as found somewhere."""

    #: For people: ``line 3``.
    place: str
    secret: str
    sequence: int
    digest: str
    #: The public form; None: only the digest is known.
    form: Mapping[str, Any] | None = None
    #: From a log, where it may stand twice.
    logged: bool = False
    #: Id of a key, a colon, and a signature in base64; empty: it has none.
    signature: str = ""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong."""

    place: str
    #: ``unreadable``, ``changed``, ``gap``, ``order``, ``foreign``, ``repeated``, ``ahead``,
    #: ``unsigned`` or ``forged``.
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.message}"


def read_line(text: str, place: str) -> Entry | Fault | None:
    """Read one line of an export or a log; None: it is about something else.

    A line is what ``rotation history --jsonl`` prints, what the function writes, or either in the
    ``jsonPayload`` of an entry of Cloud Logging.
    """
    try:
        value = _whole(json.loads(text))
    except (ValueError, RecursionError):
        return Fault(place, "unreadable", "it is not JSON")
    inner = value.get("jsonPayload", value) if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        return Fault(place, "unreadable", "it is not a JSON object")
    if inner.get("schema") != receipts.SCHEMA:
        return None
    form = inner.get("receipt")
    entry = Entry(
        place,
        inner.get("secret", ""),
        inner.get("sequence", 0),
        inner.get("digest", ""),
        form if isinstance(form, dict) else None,
        logged="event" in inner,
        signature=inner.get("signature", ""),
    )
    kinds = (
        *((entry.secret, str), (entry.sequence, int)),
        *((entry.digest, str), (entry.signature, str)),
    )
    if not all(isinstance(value, kind) for value, kind in kinds):
        return Fault(place, "unreadable", "it has no secret, sequence or digest that make sense")
    return entry


def on_secret(secret: str, last: Receipt | None, before: Iterable[Brief]) -> list[Entry]:
    """Return what a secret itself holds, the newest first."""
    if last is None:
        return []
    form, digest = receipts.public(last), receipts.digest(last)
    place, signature = "annotation rotation.receipt", last.signature
    head = Entry(place, secret, last.sequence, digest, form, signature=signature)
    return [head, *(_short(secret, number, brief) for number, brief in enumerate(before, start=1))]


def verify(secret: str, held: Sequence[Entry], lines: Sequence[Entry]) -> list[Fault]:
    """Return what is wrong with the receipts of one secret.

    Args:
        secret: Its full name.
        held: What the secret itself holds, the newest first.
        lines: What was exported, as it stands in the file.
    """
    faults = [fault for entry in (*held, *lines) for fault in _own_faults(entry, secret)]
    ours = [line for line in lines if line.secret == secret]
    faults += _repeats(ours)
    faults += _order(held)
    faults += _order(_once(ours))
    known: dict[int, Entry] = {}
    for entry in (*held, *ours):
        other = known.setdefault(entry.sequence, entry)
        if other.digest != entry.digest:
            message = f"receipt {entry.sequence} is another one than at {other.place}"
            faults.append(Fault(entry.place, "changed", message))
        elif other.form is None and entry.form is not None:
            known[entry.sequence] = entry
    if ours:
        faults += _ahead(held, ours)
    return faults + list(_links(sorted(known.values(), key=lambda entry: entry.sequence)))


def check_signatures(
    secret: str, entries: Sequence[Entry], publics: Mapping[str, bytes], fits: Fits
) -> Iterator[Fault]:
    """Yield whose signature is wrong, unknown, or missing although an older receipt has one.

    Args:
        secret: Full name of the secret whose receipts they are.
        entries: What it holds, and what was exported.
        publics: The public keys of the deployment, by their ids.
        fits: Whether the owner of a public key has signed a text.
    """
    numbers = [entry.sequence for entry in entries if entry.signature]
    first = min(numbers, default=None)
    for entry in entries:
        if not entry.signature:
            if first is not None and entry.sequence > first:
                message = f"receipt {entry.sequence} has no signature, and receipt {first} has one"
                yield Fault(entry.place, "unsigned", message)
            continue
        key_id, _, text = entry.signature.partition(":")
        if key_id not in publics:
            message = f"receipt {entry.sequence} is signed by a key that is not known here"
            yield Fault(entry.place, "forged", message)
            continue
        covered = receipts.signed_text(secret, entry.sequence, entry.digest)
        if not fits(publics[key_id], _decoded(text), covered):
            message = f"receipt {entry.sequence} was not signed by {key_id}"
            yield Fault(entry.place, "forged", message)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def _own_faults(entry: Entry, secret: str) -> Iterator[Fault]:
    """Yield what is wrong with one entry by itself."""
    form = entry.form
    named = {entry.secret, str(form.get("secret", "")) if form else ""} - {"", secret}
    if named:
        yield Fault(entry.place, "foreign", f"it is a receipt of {min(named)}")
    if form is None:
        return
    if receipts.digest_of(form) != entry.digest:
        yield Fault(entry.place, "changed", f"receipt {entry.sequence} has not the digest it names")
    elif form.get("sequence", 0) != entry.sequence:
        message = f"it is receipt {form.get('sequence', 0)}, and says {entry.sequence}"
        yield Fault(entry.place, "changed", message)


def _repeats(lines: Sequence[Entry]) -> Iterator[Fault]:
    first: dict[tuple[int, str], Entry] = {}
    for line in lines:
        before = first.setdefault((line.sequence, line.digest), line)
        if before is not line and not line.logged:
            message = f"receipt {line.sequence} stands at {before.place} already"
            yield Fault(line.place, "repeated", message)


def _once(lines: Iterable[Entry]) -> list[Entry]:
    return list({(line.sequence, line.digest): line for line in reversed(list(lines))}.values())[
        ::-1
    ]


def _order(entries: Sequence[Entry]) -> Iterator[Fault]:
    """Yield who stands in the wrong place; both directions are right."""
    steps = list(pairwise(entries))
    falling = sum(one.sequence > two.sequence for one, two in steps) * 2 > len(steps)
    for one, two in steps:
        if one.sequence != two.sequence and (one.sequence > two.sequence) is not falling:
            message = f"receipt {two.sequence} stands behind receipt {one.sequence}"
            yield Fault(two.place, "order", message)


def _ahead(held: Sequence[Entry], lines: Sequence[Entry]) -> Iterator[Fault]:
    last = held[0].sequence if held else -1
    for line in lines:
        if line.sequence > last:
            message = f"receipt {line.sequence} is not on the secret; its last one is {last}"
            if last < 0:
                message = f"receipt {line.sequence} is not on the secret, which has none"
            yield Fault(line.place, "ahead", message)


def _links(chain: Sequence[Entry]) -> Iterator[Fault]:
    for one, two in pairwise(chain):
        if two.sequence != one.sequence + 1:
            missing = f"{one.sequence + 1}"
            if two.sequence > one.sequence + 2:
                missing += f" to {two.sequence - 1}"
            yield Fault(two.place, "gap", f"receipt {missing} is missing before it")
        elif two.form is not None and two.form.get("before", "") != one.digest:
            message = f"receipt {one.sequence} is not the one that {two.place} names before it"
            yield Fault(one.place, "changed", message)


def _short(secret: str, number: int, brief: Brief) -> Entry:
    place = f"annotation rotation.history, entry {number}"
    return Entry(place, secret, brief.sequence, brief.digest, signature=brief.signature)


def _whole(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON with whole numbers as such: Cloud Logging keeps every number as a double."""
    match value:
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
