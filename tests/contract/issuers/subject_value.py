"""A generated value under the contract: what readers of the secret can do with it."""

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rotation.issuers.value import Value, ValueSettings
from rotation.model.payload import Payload
from rotation.ports.issuer import IssuerEnvironment
from tests.contract.issuers.subject import Subject


class ValueSubject(Subject):
    """Readers of a secret; there is nothing else."""

    def issuer(self) -> Value:
        return Value(ValueSettings(), IssuerEnvironment(Payload, lambda: ""))

    def works(self, payload: Payload) -> bool:
        key = urlsafe_b64decode(payload.fields()["key"] + "==")
        return len(key) == 32 and bool(hmac.digest(key, b"text", "sha256"))

    @contextmanager
    def session(self, payload: Payload) -> Iterator[Payload]:
        yield payload

    def is_alive(self, session: Any) -> bool:
        return self.works(session)


@contextmanager
def open_subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    yield ValueSubject()
