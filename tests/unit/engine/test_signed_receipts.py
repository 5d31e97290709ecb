"""Receipts are signed: whoever has the public keys finds what somebody else wrote."""

import json
from typing import Any

import jsonschema
import pytest

from rotation.engine import codec
from rotation.kit import signatures
from rotation.machine import chain, receipts
from rotation.machine.chain import Entry
from rotation.model.wakeup import Ask
from tests.support.keys import KEYS, make_key

from .test_receipts import SCHEMA, logged, rotated
from .test_sealed import change, change_record, soaking
from .world import NAME, World

PUBLICS = {key.id: signatures.public_of(key.signing_seed) for key in KEYS.keys}


def kinds(world: World, lines: list[Any], publics: Any = None) -> set[str]:
    """Return the faults of what the secret holds, and of lines of the log."""
    held = chain.on_secret(str(NAME), *codec.receipts_of(world.store.secret))
    read = [chain.read_line(json.dumps(line), f"line {n}") for n, line in enumerate(lines)]
    entries = [entry for entry in read if isinstance(entry, Entry)]
    assert len(entries) == len(lines)
    known = PUBLICS if publics is None else publics
    found = chain.check_signatures(str(NAME), [*held, *entries], known, signatures.fits)
    return {fault.kind for fault in found}


def test_every_receipt_is_signed_and_only_the_public_key_is_needed() -> None:
    world = rotated(3)
    assert world.receipt["signature"].startswith("k-tests:")
    lines = logged(world)
    assert [line["signature"][:8] for line in lines] == ["k-tests:"] * 3
    assert kinds(world, lines) == set()
    _, before = codec.receipts_of(world.store.secret)
    assert all(brief.signature for brief in before)


def test_a_line_with_its_signature_is_as_the_schema_says() -> None:
    for line in logged(rotated(2)):
        jsonschema.validate({key: line[key] for key in SCHEMA["properties"] if key in line}, SCHEMA)


def test_a_receipt_that_somebody_wrote_anew_is_forged() -> None:
    world = rotated(1)
    receipt = {**json.loads(world.store.secret.annotations[codec.RECEIPT]), "requested_by": "eve"}
    change(world, annotations={codec.RECEIPT: json.dumps(receipt)})
    assert kinds(world, []) == {"forged"}


@pytest.mark.parametrize("signature", ["", "k-tests:", "k-tests:AAAA", "k-tests:ä", "x", ":"])
def test_a_line_without_a_fitting_signature_is_found(signature: str) -> None:
    world = rotated(2)
    first, second = logged(world)
    second = {**second, "signature": signature}
    assert kinds(world, [first, second]) == {"forged" if signature else "unsigned"}


def test_a_signature_is_of_one_receipt_of_one_secret() -> None:
    world = rotated(2)
    first, second = logged(world)
    assert kinds(world, [{**second, "signature": first["signature"]}]) == {"forged"}
    entry = chain.read_line(json.dumps(first), "line 1")
    assert isinstance(entry, Entry)
    other = chain.check_signatures("projects/1/secrets/other", [entry], PUBLICS, signatures.fits)
    assert [fault.kind for fault in other] == ["forged"]


def test_a_key_that_is_not_known_proves_nothing() -> None:
    world = rotated(1)
    assert kinds(world, [], {}) == {"forged"}
    other = signatures.public_of(make_key("k-tests", b"o").signing_seed)
    assert kinds(world, [], {"k-tests": other}) == {"forged"}


def test_receipts_from_before_there_were_keys_are_no_fault() -> None:
    world = World()
    world.keys = None
    for keys in (None, KEYS):
        world.keys = keys
        world.clock.advance(hours=1)
        world.worker().tick(world.scheduled())
        world.settle()
    assert "signature" not in logged(world)[0]
    assert kinds(world, logged(world)) == set()


def test_the_receipt_of_what_was_given_up_is_signed_too() -> None:
    world = soaking()
    change_record(world, previous=2, next=1)
    world.worker().tick(world.asked(Ask.UNBLOCK))
    assert world.receipt["outcome"] == "recovered"
    assert kinds(world, logged(world)) == set()


def test_what_the_engine_keeps_for_itself_is_not_covered() -> None:
    receipt, _ = codec.receipts_of(rotated(1).store.secret)
    assert receipt is not None
    assert {"last", "copies", "signature"}.isdisjoint(receipts.public(receipt))
