"""Google's REST APIs as people's looks read them: who says so, to whom, and what refusals mean."""

import json
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import google.auth
import pytest
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError

from rotation.google.rest import Rest
from rotation.kit.net import sending
from rotation.local.postgres.certificate import write_certificates
from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    RotationError,
    TemporaryError,
)
from tests.support.web import Asked, Reply, Web, serve_web

TOKEN = "ya29.s3cr3t"


class Own(Credentials):  # type: ignore[misc]
    renewals = 0

    def before_request(self, request: Any, method: str, url: str, headers: dict[str, str]) -> None:
        headers["authorization"] = f"Bearer {TOKEN}{self.renewals or ''}"
        headers["x-goog-user-project"] = "billed"

    def refresh(self, request: Any) -> None:
        self.renewals += 1


@pytest.fixture
def embedded() -> Iterator[Web]:
    with serve_web() as web:
        web.says(body=b"{}")
        yield web


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Serve over TLS, as a place where this process has an identity."""
    write_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(google.auth, "default", lambda **_scopes: (Own(), "demo"))
    sending._trust.cache_clear()
    with serve_web(context) as web:
        web.says(body=b"{}")
        yield web
    sending._trust.cache_clear()


def refusal(web: Web, status: int, **error: Any) -> RotationError:
    web.says(status=status, body=json.dumps({"error": error}).encode() if error else b"<html>")
    with pytest.raises(RotationError) as caught:
        Rest(web.url).get("v1/projects/acme")
    return caught.value


def test_the_token_and_the_project_that_pays_are_sent_over_tls(real: Web) -> None:
    real.says(body=b'{"name": "orders"}')
    rest = Rest(real.url)
    assert rest.get("v1/projects/acme/secrets", pageToken="a b") == {"name": "orders"}
    (asked,) = real.asked
    assert asked.path == "/v1/projects/acme/secrets?pageToken=a+b"
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["x-goog-user-project"] == "billed"
    assert rest.ahead is not None
    assert abs(rest.ahead) < timedelta(seconds=5)


def test_a_token_that_ended_early_is_renewed_once(real: Web) -> None:
    def reply(asked: Asked) -> Reply:
        is_new = asked.headers["Authorization"] == f"Bearer {TOKEN}1"
        return Reply(body=b'{"name": "orders"}') if is_new else Reply(401, b"{}")

    real.reply = reply
    assert Rest(real.url).get("v1/x") == {"name": "orders"}
    assert len(real.asked) == 2
    real.says(status=401, body=b"{}")
    with pytest.raises(AccessDeniedError):
        Rest(real.url).get("v1/x")
    assert len(real.asked) == 4


def test_a_redirect_takes_no_token_along(real: Web, embedded: Web) -> None:
    real.says(status=307, headers={"Location": embedded.url})
    with pytest.raises(PermanentError) as caught:
        Rest(real.url).get("v1/x")
    assert embedded.asked == []
    assert TOKEN not in str(caught.value)


def test_no_credentials_are_explained(monkeypatch: pytest.MonkeyPatch, real: Web) -> None:
    def default(scopes: list[str]) -> None:
        raise DefaultCredentialsError

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(AccessDeniedError) as caught:
        Rest(real.url).get("v1/x")
    assert caught.value.remedy == "gcloud auth application-default login"
    assert real.asked == []


@pytest.mark.parametrize(
    ("account", "identity", "sent"),
    [("", "", None), ("", "user:ann@x", "Bearer user:ann@x"), ("sa@x", "u@x", "Bearer sa@x")],
)
def test_an_embedded_service_is_told_who_asks(
    embedded: Web, account: str, identity: str, sent: str | None
) -> None:
    Rest(embedded.url, account, identity=identity).get("v1/x")
    assert embedded.asked[0].headers["Authorization"] == sent


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (401, AccessDeniedError), (403, AccessDeniedError),
     (429, TemporaryError), (503, TemporaryError), (400, PermanentError), (302, PermanentError)],
)  # fmt: skip
def test_a_refusal_says_what_to_do_next(
    embedded: Web, status: int, kind: type[RotationError]
) -> None:
    assert type(refusal(embedded, status)) is kind
    error = refusal(embedded, status, message="because", details=[])
    assert type(error) is kind
    assert str(error).startswith("v1/projects/acme: because")


def test_an_api_that_is_off_is_switched_on(embedded: Web) -> None:
    error = refusal(embedded, 403, message="off", details=[{"reason": "SERVICE_DISABLED"}])
    assert error.remedy == "gcloud services enable 127.0.0.1"


def test_silence_is_temporary_and_in_time(embedded: Web) -> None:
    embedded.reply = lambda _asked: Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n", drips=b" ")
    with pytest.raises(TemporaryError, match=r"does not answer: no answer within 0.3 s"):
        Rest(embedded.url, timeout=0.3).get("v1/x")


def test_what_is_not_an_object_is_none(embedded: Web) -> None:
    def reply(asked: Asked) -> Reply:
        return Reply(body=bodies[asked.path])

    bodies = {"/v1/list": b"[]", "/v1/page": b"<html>", "/v1/deep": b"[" * 100_000}
    embedded.reply = reply
    for path in bodies:
        assert Rest(embedded.url).get(path.removeprefix("/")) == {}
