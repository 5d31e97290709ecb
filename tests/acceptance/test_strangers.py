"""Whoever asks for a password in a way that gives it away gets none, and no token either.

Real sockets, and real clients on our side: a listener asks for a login in clear text, by md5, GSS
or SSPI, or for none at all; with TLS and without, with a certificate that is trusted and with one
that is not.
"""

import base64
import contextlib
import hashlib
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rotation.gates.consumers import ConsumersGate, ConsumersSettings
from rotation.gates.http import HttpGate, HttpSettings
from rotation.gates.prometheus import PrometheusGate, PrometheusSettings
from rotation.issuers.postgresql import PostgreSQL, PostgreSQLSettings
from rotation.issuers.postgresql.adopting import adopter
from rotation.local.postgres.certificate import write_certificates
from rotation.model.adoption import AdoptionRequest
from rotation.model.errors import PermanentError, PolicyError, RotationError
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Change
from rotation.model.rollout import Look, Move
from rotation.participants.git.participant import GitParticipant
from rotation.participants.git.settings import Auth, GitSettings
from rotation.ports.issuer import IssuerEnvironment
from rotation.ports.participant import ParticipantEnvironment
from tests.contract.gates.subjects import SECRET, environment, watch
from tests.support.postgresql.stranger import ASKS, SCRAM, Stranger
from tests.support.web import Web, serve_web

PASSWORD, TOKEN = "hunter2-the-password", "ya29.the-access-token"
ADMIN = Payload.of({"username": "rotator", "password": PASSWORD})
CONSUMER = Payload.of({"username": "orders_a", "password": PASSWORD})
TLS = {
    "no TLS": {"tls": "disable"},
    "trusted": {"tls": "verify-full"},
    "not trusted": {"tls": "verify-full", "tls_root_cert": "other"},
    "not looked at": {"tls": "require"},
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Those of the listener, and another authority's."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("ours", "other")}
    for folder in folders.values():
        write_certificates(folder)
    return folders


@pytest.fixture(scope="module")
def context(certificates: dict[str, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours = certificates["ours"]
    context.load_cert_chain(ours / "server.pem", ours / "server.key")
    return context


def issuer(port: int, tls: dict[str, str], **changes: Any) -> PostgreSQL:
    settings = {
        "host": "127.0.0.1", "port": port, "database": "orders", "slots": ("orders_a", "orders_b"),
        "owner": "orders_owner", "admin": "projects/acme/secrets/rotator", "connect_timeout": 3,
    }  # fmt: skip
    made = PostgreSQLSettings(**{**settings, **tls, **changes})
    return PostgreSQL(made, IssuerEnvironment(lambda _name: ADMIN, lambda: TOKEN))


def adopt(port: int, tls: dict[str, str]) -> None:
    mode = {"sslmode": tls["tls"], "sslrootcert": tls.get("tls_root_cert", "")}
    query = "&".join(f"{key}={value}" for key, value in mode.items() if value)
    url = f"postgresql://rotator:{PASSWORD}@127.0.0.1:{port}/orders?{query}"
    request = AdoptionRequest(
        payload=CONSUMER,
        connection=Password(url),
        settings={},
        admin="projects/acme/secrets/r",
        rotator=None,
        rotator_user="rotator",
    )
    adopter.PostgreSQLAdopter(request).plan()


def adopted(port: int, tls: dict[str, str]) -> None:
    """Log in with the credential that is adopted, as adoption does to prove it."""
    place = {"host": "127.0.0.1", "port": port, "dbname": "orders", "user": "orders_a"}
    mode = {"sslmode": tls["tls"], "sslrootcert": tls.get("tls_root_cert", "")}
    place |= {key: value for key, value in mode.items() if value}
    adopter._connect(place, "rotation verify", Password(PASSWORD)).close()


WHO: dict[str, Callable[[int, dict[str, str]], object]] = {
    "issuer, as the rotator": lambda port, tls: issuer(port, tls).connect(),
    "issuer, as a consumer": lambda port, tls: issuer(port, tls).verify(CONSUMER),
    "doctor and plan": lambda port, tls: issuer(port, tls).preflight(CONSUMER),
    "adopt, as the administrator": adopt,
    "adopt, as the application": adopted,
}


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("who", WHO)
def test_a_database_that_is_none_never_gets_a_password(
    who: str, ask: str, tls: str, certificates: dict[str, Path], context: ssl.SSLContext
) -> None:
    trusted = {**TLS[tls]}
    if trusted["tls"] == "verify-full":
        authority = certificates[trusted.get("tls_root_cert", "ours")]
        trusted["tls_root_cert"] = str(authority / "ca.pem")
    with Stranger(ASKS[ask], context if tls != "no TLS" else None) as stranger:
        with contextlib.suppress(RotationError, psycopg.Error):
            WHO[who](stranger.port, trusted)
        stranger.await_farewells()
        assert stranger.connections
    assert not any(secret in stranger.sent for secret in _spellings(PASSWORD))
    assert not stranger.answers.startswith(b"p")


def test_a_login_that_is_not_bound_to_the_connection_says_so(
    certificates: dict[str, Path], context: ssl.SSLContext
) -> None:
    tls = {"tls": "verify-full", "tls_root_cert": str(certificates["ours"] / "ca.pem")}
    with Stranger(SCRAM, context) as stranger:
        with pytest.raises(PermanentError, match="does not bind") as caught:
            issuer(stranger.port, tls).connect()
        stranger.await_farewells()
        assert stranger.answers == b""
    assert caught.value.reason == "no-channel-binding"
    assert "channel_binding: prefer" in caught.value.remedy


@pytest.mark.parametrize("ask", ["md5", "gss", "sspi", "nothing"])
def test_an_access_token_is_no_answer_to_another_question(
    ask: str, certificates: dict[str, Path], context: ssl.SSLContext
) -> None:
    tls = {"tls": "verify-full", "tls_root_cert": str(certificates["ours"] / "ca.pem")}
    with Stranger(ASKS[ask], context) as stranger:
        with pytest.raises(RotationError):
            issuer(stranger.port, tls, admin="iam", admin_user="sa").connect()
        stranger.await_farewells()
        assert stranger.connections
    assert not any(secret in stranger.sent for secret in _spellings(TOKEN))


def test_an_access_token_goes_to_a_verified_server_only(
    certificates: dict[str, Path], context: ssl.SSLContext
) -> None:
    for who, is_sent in (("other", False), ("ours", True)):
        tls = {"tls": "verify-full", "tls_root_cert": str(certificates[who] / "ca.pem")}
        with Stranger(ASKS["clear text"], context) as stranger:
            with pytest.raises(RotationError):
                issuer(stranger.port, tls, admin="iam", admin_user="sa").connect()
            stranger.await_farewells()
        assert (TOKEN.encode() in stranger.sent) == is_sent
    for mode in ("require", "disable"):
        with pytest.raises(PolicyError, match="verified"):
            issuer(1, {"tls": mode}, admin="iam", admin_user="sa")


def _spellings(secret: str) -> list[bytes]:
    digests = []
    for user in ("rotator", "orders_a", "sa"):
        inner = hashlib.md5((secret + user).encode(), usedforsecurity=False).hexdigest()
        digests += [inner, hashlib.md5(inner.encode() + b"salt", usedforsecurity=False).hexdigest()]
    return [secret.encode(), *(digest.encode() for digest in digests)]


@pytest.fixture
def web() -> Iterator[Web]:
    with serve_web() as web:
        yield web


def sent_to(web: Web) -> str:
    return "\n".join(str(asked.headers) + asked.path for asked in web.asked)


GATES: dict[str, Callable[..., object]] = {
    "http": lambda url, **more: HttpGate(
        HttpSettings(url=url, identity=True, **more), gate_environment()
    ).check(watch()),
    "consumers": lambda url, **more: ConsumersGate(
        ConsumersSettings(urls=(url,), identity=True, **more), gate_environment()
    ).check(watch()),
    "prometheus": lambda url, **more: PrometheusGate(
        PrometheusSettings(url=url, query="up", max=1, identity=True, **more), gate_environment()
    ).check(watch()),
}


def gate_environment() -> Any:
    return environment(
        identity_token=lambda audience: f"eyJ.for.{base64.b64encode(audience.encode()).decode()}",
        access_token=lambda: TOKEN,
    )


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("challenge", ["Negotiate", "Basic realm=x", "Digest realm=x,nonce=y"])
def test_a_gate_sends_a_token_that_is_worth_something_at_its_own_origin_only(
    web: Web, kind: str, challenge: str
) -> None:
    web.says(status=401, headers={"WWW-Authenticate": challenge})
    GATES[kind](web.url)
    for asked in web.asked:
        token = asked.headers["Authorization"].removeprefix("Bearer eyJ.for.")
        assert base64.b64decode(token).decode() == web.url
    assert web.asked
    assert TOKEN not in sent_to(web)


@pytest.mark.parametrize("kind", GATES)
def test_a_gate_that_is_sent_elsewhere_takes_no_token_along(web: Web, kind: str) -> None:
    with serve_web() as elsewhere:
        web.says(status=307, headers={"Location": elsewhere.url})
        GATES[kind](web.url)
        assert elsewhere.asked == []


@pytest.mark.parametrize("kind", GATES)
def test_a_gate_sends_no_token_to_a_certificate_that_is_not_trusted(
    kind: str, certificates: dict[str, Path], context: ssl.SSLContext
) -> None:
    with serve_web(context) as web:
        GATES[kind](web.url, tls_root_cert=str(certificates["other"] / "ca.pem"))
        assert web.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{}",
        "https://127.0.0.1:{}",
        "https://x.googleapis.com",
        "https://monitoring.googleapis.com.evil.test",
    ],
)
def test_an_access_token_is_for_one_api(web: Web, url: str) -> None:
    with pytest.raises(PolicyError, match=r"monitoring\.googleapis\.com only"):
        PrometheusSettings(url=url.format(web.port), query="up", max=1, access_token=True)
    assert web.asked == []


@pytest.mark.parametrize(
    "host", ["localhost.localdomain", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_loopback_gets_no_token_by_another_name(
    host: str, certificates: dict[str, Path], context: ssl.SSLContext
) -> None:
    with serve_web(context) as web:
        verdict = HttpGate(
            HttpSettings(url=f"https://{host}:{web.port}", identity=True), gate_environment()
        ).check(watch())
        assert verdict.look is Look.WAIT
        assert web.asked == []


MOVE = Move(SECRET, "r1", "all", Change(previous=1, next=2))
VERSION = "projects/acme/secrets/git/versions/1"


def git(kind: str, url: str, **more: Any) -> GitParticipant:
    settings = GitSettings(
        host=kind, url=url, path="app.yaml", auth=Auth(token=VERSION),
        answer_within=timedelta(seconds=3), **more,
    )  # fmt: skip
    return GitParticipant(settings, ParticipantEnvironment(lambda _name: TOKEN.encode(), str))


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea", "git"])
def test_a_git_host_that_sends_elsewhere_sends_no_token_along(web: Web, kind: str) -> None:
    with serve_web() as elsewhere:
        web.says(status=307, headers={"Location": elsewhere.url})
        api = {} if kind == "git" else {"api": f"{web.url}/api"}
        with pytest.raises(RotationError):
            git(kind, f"{web.url}/acme/shop", **api).plan(MOVE)
        assert web.asked
        assert elsewhere.asked == []


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea", "git"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_git_host_without_a_trusted_certificate_gets_no_token(
    kind: str, host: str, context: ssl.SSLContext
) -> None:
    with serve_web(context) as web:
        with pytest.raises(RotationError):
            git(kind, f"https://{host}:{web.port}/acme/shop").plan(MOVE)
        assert web.asked == []


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_an_api_elsewhere_is_refused_before_anything_is_opened(web: Web, kind: str) -> None:
    with pytest.raises(ValueError, match="api: belongs to another host"):
        git(kind, "https://git.acme.example/acme/shop", api=web.url)
    assert web.asked == []
