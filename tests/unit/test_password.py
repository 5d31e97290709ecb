import copy
import pickle

import pytest

from rotation.model.password import Password
from rotation.model.payload import Payload

TEXT = "correct-horse-battery-staple"


def test_a_password_says_nothing_of_itself() -> None:
    password = Password(TEXT)
    assert {repr(password), str(password), f"{password}", f"{[password]}"[1:-1]} == {"<password>"}
    assert password.reveal() == TEXT


def test_a_password_is_compared_but_neither_pickled_nor_a_key() -> None:
    password = Password(TEXT)
    assert password == Password(TEXT) != Password("other")
    assert password != TEXT
    with pytest.raises(TypeError):
        hash(password)
    for take in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            take(password)


def test_an_empty_password_is_in_no_text() -> None:
    assert Password(TEXT).is_in(f"... {TEXT} ...")
    assert not Password("").is_in("text")
    assert not Password("")


def test_fields_of_a_payload_show_their_names_only() -> None:
    fields = Payload.of({"username": "a", "password": TEXT}).fields()
    assert repr(fields) == str(fields) == "<fields username, password>"
    assert fields["password"] == TEXT
