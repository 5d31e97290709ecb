from base64 import urlsafe_b64decode

import pytest

from rotation.issuers.value import Value, ValueSettings
from rotation.model.payload import Payload, PayloadError
from rotation.model.plugin import Severity
from rotation.ports.issuer import IssuerEnvironment


def make(algorithm: str = "HS256") -> Value:
    return Value(ValueSettings(algorithm=algorithm), IssuerEnvironment(Payload, lambda: ""))  # type: ignore[arg-type]


@pytest.mark.parametrize(("algorithm", "length"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_key_is_as_long_as_its_algorithm_wants(algorithm: str, length: int) -> None:
    key = make(algorithm).propose("k-1", "r1", None).fields()["key"]
    assert len(urlsafe_b64decode(key + "==")) == length


@pytest.mark.parametrize(
    "change",
    [
        {"key": "c2hvcnQ"},
        {"key": "not base64!" + "A" * 40},
        {"key": "AAAA+AAA" * 8},
        {"key": 7},
        {"algorithm": "none"},
        {"key_id": ""},
        {"key_id": "k" * 64},
    ],
)
def test_a_key_that_is_none_of_ours_is_refused_without_being_quoted(change: dict[str, str]) -> None:
    issuer = make()
    payload = Payload.of(issuer.propose("k-1", "r1", None).fields() | change)
    with pytest.raises(PayloadError) as caught:
        issuer.verify(payload)
    assert str(payload.fields()["key"]) not in str(caught.value)
    assert {finding.severity for finding in issuer.preflight(payload)} == {Severity.ERROR}


def test_another_algorithm_than_the_policy_s_is_a_warning() -> None:
    payload = make("HS512").propose("k-1", "r1", None)
    assert [finding.severity for finding in make().preflight(payload)] == [Severity.WARNING]


def test_without_a_key_nothing_can_be_tested() -> None:
    assert [finding.severity for finding in make().preflight(None)] == [Severity.UNTESTED]
