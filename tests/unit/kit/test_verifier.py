import re

import pytest

from rotation.kit.credentials.verifier import new_password, scram_verifier, scrambled_verifier
from rotation.model.errors import CandidateRejectedError
from rotation.model.password import Password

SHAPE = re.compile(r"SCRAM-SHA-256\$\d+:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=")


def test_a_password_is_long_and_safe_in_urls_shells_and_pgpass() -> None:
    for password in {new_password() for _ in range(500)}:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{42}", password)


def test_two_verifiers_of_one_password_differ() -> None:
    first, second = scram_verifier(Password("pw")), scram_verifier(Password("pw"))
    assert first != second
    assert SHAPE.fullmatch(first)
    assert SHAPE.fullmatch(second)


def test_iterations_are_spelled() -> None:
    assert scram_verifier(Password("pw"), 5000).startswith("SCRAM-SHA-256$5000:")


def test_a_scrambled_verifier_has_the_shape_of_a_real_one() -> None:
    assert SHAPE.fullmatch(scrambled_verifier())


@pytest.mark.parametrize("password", ["", "käse", "tab\t", "zero\0"])
def test_other_text_is_rejected(password: str) -> None:
    with pytest.raises(CandidateRejectedError):
        scram_verifier(Password(password))
