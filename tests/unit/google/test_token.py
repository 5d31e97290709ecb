"""Tokens are for database logins only, kept while valid, and their absence is explained."""

import google.auth
import pytest
from google.auth.exceptions import DefaultCredentialsError, RefreshError

from rotation.google.token import AccessTokens
from rotation.model.errors import AccessDeniedError, TemporaryError


class Identity:
    def __init__(self, error: Exception | None = None) -> None:
        self.token: str | None = None
        self.scopes: list[str] = []
        self.refreshed = 0
        self.valid = False
        self.error = error

    def refresh(self, _request: object) -> None:
        if self.error:
            raise self.error
        self.refreshed += 1
        self.token, self.valid = f"token-{self.refreshed}", True


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> Identity:
    identity = Identity()

    def default(scopes: list[str]) -> tuple[Identity, str]:
        identity.scopes = scopes
        return identity, "demo"

    monkeypatch.setattr(google.auth, "default", default)
    return identity


def test_a_token_allows_logins_and_nothing_else(identity: Identity) -> None:
    assert AccessTokens()() == "token-1"
    assert identity.scopes == ["https://www.googleapis.com/auth/sqlservice.login"]


def test_a_valid_token_is_kept(identity: Identity) -> None:
    tokens = AccessTokens()
    assert tokens() == tokens()
    assert identity.refreshed == 1


def test_an_ending_token_is_renewed(identity: Identity) -> None:
    tokens = AccessTokens()
    tokens()
    identity.valid = False
    assert tokens() == "token-2"


def test_missing_credentials_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def default(scopes: list[str]) -> None:
        raise DefaultCredentialsError

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(AccessDeniedError, match="gcloud auth application-default login"):
        AccessTokens()()


def test_a_silent_token_server_is_temporary(identity: Identity) -> None:
    identity.error = RefreshError("metadata server")
    with pytest.raises(TemporaryError, match="RefreshError"):
        AccessTokens()()
