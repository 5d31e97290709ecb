"""The token of a push, signed and checked by the real library; certificates over real HTTP."""

import base64
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from rotation.emulator.signing import TokenSigner
from rotation.google.push_tokens import PushTokens
from rotation.machine.push_claims import Expected
from rotation.model.errors import CallerError, TemporaryError
from tests.support.push import checked_by_cloud_run

AUDIENCE = "https://rotation-1.europe-west1.run.app"
ACCOUNT = "rotation-push@acme.iam.gserviceaccount.com"
EXPECTED = Expected(AUDIENCE, ACCOUNT)
HOUR = 3600


class Certificates(ThreadingHTTPServer):
    """Publishes what it is given, and counts who asks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body: dict[str, str] = {}
        self.status = 200
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/certs"


class _Answer(BaseHTTPRequestHandler):
    server: Certificates
    protocol_version: ClassVar[str] = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked += 1
        body = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def signer() -> TokenSigner:
    return TokenSigner()


@pytest.fixture
def certificates(signer: TokenSigner) -> Iterator[Certificates]:
    with Certificates() as server:
        server.body = signer.certificates()
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def tokens(certificates: Certificates) -> PushTokens:
    return PushTokens(EXPECTED, certificates.url)


def status(tokens: PushTokens, authorization: str) -> int:
    with pytest.raises(CallerError) as refused:
        tokens.check(authorization)
    return refused.value.status


def test_a_token_of_our_push_is_believed_and_certificates_are_kept(
    tokens: PushTokens, signer: TokenSigner, certificates: Certificates
) -> None:
    for _ in range(5):
        assert not tokens.check(f"Bearer {signer.sign(ACCOUNT, AUDIENCE)}")
    assert certificates.asked == 1


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"aud": "https://else.example"}, 403),
        ({"aud": [AUDIENCE]}, 403),
        ({"email": "somebody@acme.example"}, 403),
        ({"email_verified": False}, 403),
        ({"email_verified": "true"}, 403),
        ({"iss": "https://else.example"}, 403),
        ({"exp": int(time.time()) - HOUR}, 401),
        ({"iat": int(time.time()) + HOUR, "exp": int(time.time()) + 2 * HOUR}, 401),
        ({"exp": "tomorrow"}, 401),
        ({"exp": 10**400}, 401),
        ({"exp": float("inf"), "iat": float("inf")}, 401),
        ({"exp": float("nan")}, 401),
        ({"iss": []}, 403),
        ({"iss": {}}, 403),
        ({"exp": int(time.time()) + 1000 * HOUR}, 401),
    ],
    ids=[
        *("audience", "audiences", "account", "unverified", "text", "issuer", "old", "early"),
        *("no time", "digits", "endless", "no number", "issuers", "an object", "long"),
    ],
)
def test_a_token_that_says_something_else_is_refused_without_a_call(
    tokens: PushTokens,
    signer: TokenSigner,
    certificates: Certificates,
    claims: dict[str, object],
    expected: int,
) -> None:
    assert status(tokens, f"Bearer {signer.sign(ACCOUNT, AUDIENCE, **claims)}") == expected
    assert certificates.asked == 0


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer ..", "Bearer " + "x" * 9000],
)
def test_what_is_not_a_token_is_refused_without_a_call(
    tokens: PushTokens, certificates: Certificates, header: str
) -> None:
    assert status(tokens, header) == 401
    assert certificates.asked == 0


def test_a_token_signed_with_another_key_is_refused(tokens: PushTokens) -> None:
    assert status(tokens, f"Bearer {TokenSigner().sign(ACCOUNT, AUDIENCE)}") == 401


def test_a_token_without_signature_or_changed_after_signing_is_refused(
    tokens: PushTokens, signer: TokenSigner
) -> None:
    head, body, signature = signer.sign("somebody@acme.example", AUDIENCE).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["email"] = ACCOUNT
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert status(tokens, f"Bearer {head}.{forged}.{signature}") == 401
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    assert status(tokens, f"Bearer {none}.{forged}.") == 401
    assert status(tokens, f"Bearer {checked_by_cloud_run(AUDIENCE, ACCOUNT)}") == 401


def test_a_new_key_of_google_is_fetched_but_not_for_every_stranger(
    tokens: PushTokens, signer: TokenSigner, certificates: Certificates
) -> None:
    certificates.body = {"another": next(iter(signer.certificates().values()))}
    for _ in range(3):
        assert status(tokens, f"Bearer {signer.sign(ACCOUNT, AUDIENCE)}") == 401
    assert certificates.asked == 1


@pytest.mark.parametrize("trouble", ["refused", "error", "nonsense"])
def test_without_certificates_a_delivery_comes_again(
    signer: TokenSigner, certificates: Certificates, trouble: str
) -> None:
    url = certificates.url
    if trouble == "refused":
        url = "http://127.0.0.1:9/certs"
    elif trouble == "error":
        certificates.status = 500
    else:
        certificates.body = {"key": 7}  # type: ignore[dict-item]
    with pytest.raises(TemporaryError):
        PushTokens(EXPECTED, url).check(f"Bearer {signer.sign(ACCOUNT, AUDIENCE)}")


def test_forged_tokens_cause_one_call_while_there_are_no_certificates(
    certificates: Certificates,
) -> None:
    certificates.status = 500
    tokens = PushTokens(EXPECTED, certificates.url)
    for _ in range(5):
        with pytest.raises(TemporaryError):
            tokens.check(f"Bearer {TokenSigner().sign(ACCOUNT, AUDIENCE)}")
    assert certificates.asked == 1


def test_behind_cloud_runs_check_claims_are_checked_and_nothing_is_fetched(
    certificates: Certificates,
) -> None:
    tokens = PushTokens(EXPECTED, certificates.url, signature_removed=True)
    assert not tokens.check(f"Bearer {checked_by_cloud_run(AUDIENCE, ACCOUNT)}")
    assert status(tokens, f"Bearer {checked_by_cloud_run(AUDIENCE, 'editor@acme.example')}") == 403
    assert status(tokens, f"Bearer {checked_by_cloud_run('https://else', ACCOUNT)}") == 403
    assert status(tokens, f"Bearer {checked_by_cloud_run(AUDIENCE, ACCOUNT, exp=1)}") == 401
    assert status(tokens, "") == 401
    assert certificates.asked == 0


def test_a_signature_that_should_be_gone_shows_that_cloud_run_checks_nobody(
    certificates: Certificates, signer: TokenSigner
) -> None:
    tokens = PushTokens(EXPECTED, certificates.url, signature_removed=True)
    assert status(tokens, f"Bearer {TokenSigner().sign(ACCOUNT, AUDIENCE)}") == 401
    assert "allUsers" in tokens.check(f"Bearer {signer.sign(ACCOUNT, AUDIENCE)}")
    assert not tokens.check(f"Bearer {signer.sign(ACCOUNT, AUDIENCE)}"), "once is enough"
