"""Documents of keys: what they say, and what is refused without quoting it."""

import base64
import json
from typing import Any

import pytest

from rotation.model.keys import KeyRing, PublicKey
from rotation.policies import keys
from rotation.policies.keys import KeysError
from tests.support.keys import make_key

FIRST, SECOND, THIRD = (make_key(f"k-{number}", bytes([number])) for number in (1, 2, 3))
PUBLIC = PublicKey("k-0", FIRST.created, b"p" * 32)


def document(**changes: Any) -> bytes:
    whole = json.loads(keys.write_keys(KeyRing((FIRST, SECOND), (PUBLIC,))))
    return json.dumps({**whole, **changes}).encode()


def key(**changes: Any) -> dict[str, Any]:
    secret = base64.b64encode(b"hush" * 8).decode()
    return {"id": "k-9", "created": "2026-11-01T00:00:00Z", "secret": secret, **changes}


def test_what_is_written_is_read() -> None:
    ring = KeyRing((FIRST, SECOND), (PUBLIC,))
    assert keys.read_keys(keys.write_keys(ring).encode()) == ring
    assert keys.read_public_keys(keys.write_public_keys([PUBLIC]).encode()) == (PUBLIC,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "faulty"),
        (document(schema="rotation.public-keys/1"), "schema"),
        (document(keys=[]), "no key"),
        (document(keyz=[]), "keyz"),
        (document(keys=[key(secret="hush")]), "k-9 is not 32 bytes"),
        (document(keys=[key(secret="h u s h")]), "k-9 is not 32 bytes"),
        (document(keys=[key(id="K 9")]), "lower-case"),
        (document(keys=[key(created="2026-11-01T00:00:00")]), "time zone"),
        (document(keys=[key(), key()]), "two keys have the id k-9"),
        (document(keys=[key(id="k-0")]), "two keys have the id k-0"),
    ],
    ids=range(12),
)
def test_a_faulty_document_is_refused_and_never_quoted(text: bytes, words: str) -> None:
    with pytest.raises(KeysError, match=words) as caught:
        keys.read_keys(text)
    assert "hush" not in str(caught.value).replace("hushed", "")
    assert base64.b64encode(b"hush").decode()[:4] not in str(caught.value)


def test_the_public_document_is_not_one_of_keys() -> None:
    with pytest.raises(KeysError):
        keys.read_public_keys(document())


def test_no_key_shows_its_secret() -> None:
    shown = [repr(FIRST), str(FIRST), f"{FIRST}", repr(KeyRing((FIRST,))), str([FIRST])]
    assert all("\\x01" not in text and "k-1" in text for text in shown)


def test_each_use_of_a_key_has_a_key_of_its_own() -> None:
    assert len({FIRST.secret, FIRST.mac_key, FIRST.signing_seed, SECOND.mac_key}) == 4


def test_the_key_that_signs_next_was_known_before() -> None:
    ring = keys.first_ring(FIRST, SECOND)
    kept = keys.next_ring(ring, THIRD, keep=2)
    assert [key.id for key in kept] == ["k-2", "k-3", "k-1"]
    assert kept[0] in ring.keys


def test_old_keys_retire_and_leave_their_public_part() -> None:
    ring = KeyRing((FIRST, SECOND, THIRD), (PUBLIC,))
    kept = keys.next_ring(ring, make_key("k-4", b"4"), keep=1)
    assert [key.id for key in kept] == ["k-2", "k-4", "k-1"]
    publics = [PublicKey(key.id, key.created, b"q" * 32) for key in ring.keys]
    assert [key.id for key in keys.retired_from(ring, kept, publics)] == ["k-3", "k-0"]


def test_a_single_key_goes_on_signing_until_the_next_one_is_known() -> None:
    assert keys.next_ring(KeyRing((FIRST,)), SECOND, keep=2) == (FIRST, SECOND)
