"""No password is in what an error reporter would send: the frames' locals and all that hangs there.

Each class of failure is made to happen on the real issuer, PostgreSQL, Secret Manager's client.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from rotation.issuers.postgresql import PostgreSQL
from rotation.local.demo.leaks import Place, find
from rotation.local.postgres import PostgresServer
from rotation.local.postgres.server import free_port
from rotation.model.errors import RotationError
from rotation.model.payload import Payload
from tests.drill.rendering import chain, rendered
from tests.support.minting import minting
from tests.support.postgresql.kit import Site, make_site
from tests.support.postgresql.wire import Wire
from tests.support.secret_manager import Embedded, embedded_secret_manager

SECRET = "correct-horse-battery-staple-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


@pytest.fixture
def site(server: PostgresServer) -> Iterator[Site]:
    made = make_site(server)
    yield made
    made.close()


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    with embedded_secret_manager(timeout=0.5) as running:
        yield running


@pytest.fixture
def failing(embedded: Embedded) -> Iterator[Embedded]:
    yield embedded
    embedded.controls.clear_failures()


def failure_of(call: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the caller's question
        call()
    return caught.value


def assert_silent(error: Exception, *passwords: str) -> None:
    place = Place("the exception", rendered(error).encode(), "")
    assert find([place], dict(zip("abc", passwords, strict=False))) == []
    assert isinstance(error, RotationError), type(error)
    assert ".py:" in rendered(error), "no frame of the product was rendered"


def password_of(payload: Payload) -> str:
    return str(payload.fields()["password"])


def test_a_wrong_password(site: Site) -> None:
    dead = site.candidate(site.slots[0])
    error = failure_of(lambda: site.issuer().verify(dead))
    assert error.reason == "credential-refused"
    assert_silent(error, password_of(dead))


def test_a_wrong_password_of_the_rotator(site: Site) -> None:
    site.admin["password"] = SECRET
    candidate = site.candidate(site.slots[0])
    error = failure_of(lambda: site.issuer().mint(minting(site.slots[0], candidate, 1, 1)))
    assert error.reason == "admin-login-refused"
    assert_silent(error, password_of(candidate), SECRET)


@pytest.mark.parametrize("lacking", ["username", "password"])
def test_a_faulty_secret_of_the_rotator(site: Site, lacking: str) -> None:
    candidate = site.candidate(site.slots[0])
    password = site.admin["password"]
    site.admin[lacking] = 7
    error = failure_of(lambda: site.issuer().mint(minting(site.slots[0], candidate, 1, 1)))
    assert error.reason == "payload-unreadable"
    assert_silent(error, password_of(candidate), password)


def test_nobody_answers(site: Site) -> None:
    candidate = site.candidate(site.slots[0])
    error = failure_of(
        lambda: site.issuer(port=free_port()).mint(minting(site.slots[0], candidate, 1, 1))
    )
    assert error.reason == "unreachable"
    assert_silent(error, password_of(candidate), site.admin["password"])


@pytest.mark.parametrize("how", ["cut_before", "swallow_answer_to"])
@pytest.mark.parametrize("word", [b"ALTER ROLE", b"COMMIT", b"BEGIN"])
def test_the_server_is_gone_in_the_middle(site: Site, how: str, word: bytes) -> None:
    candidate = site.candidate(site.slots[0])
    with Wire(site.server.port) as wire, ExitStack() as parts:
        issuer = site.issuer(port=wire.port, tls="disable")
        parts.callback(issuer.close)
        getattr(wire, how)(word)
        error = failure_of(lambda: issuer.mint(minting(site.slots[0], candidate, 1, 1)))
    assert_silent(error, password_of(candidate), site.admin["password"])


def test_a_refused_candidate(site: Site) -> None:
    fields = site.candidate(site.slots[0]).fields()
    candidate = Payload.of({**fields, "password": f"{SECRET}\t"})
    error = failure_of(lambda: site.issuer().mint(minting(site.slots[0], candidate, 1, 1)))
    assert error.reason == "candidate-rejected"
    assert_silent(error, SECRET)


def test_a_slot_in_use_and_a_stale_token(site: Site) -> None:
    first = site.mint(site.slots[0], token=5)
    second = site.candidate(site.slots[0])
    with site.session(first):
        busy = failure_of(lambda: site.issuer().mint(minting(site.slots[0], second, 6, 2)))
    stale = failure_of(lambda: site.issuer().mint(minting(site.slots[0], second, 4, 2)))
    assert (busy.reason, stale.reason) == ("slot-in-use", "stale-token")
    for error in (busy, stale):
        assert_silent(error, password_of(first), password_of(second), site.admin["password"])


def test_a_failed_probe(site: Site) -> None:
    payload = site.mint(site.slots[0], token=1)
    error = failure_of(lambda: site.issuer(probes=["SELECT 1/0"]).verify(payload))
    assert_silent(error, password_of(payload), site.admin["password"])


@pytest.mark.parametrize(
    "fields",
    [
        {"password": SECRET},
        {"username": 7, "password": SECRET},
        {"username": "root", "password": SECRET},
    ],
)
def test_a_payload_without_a_login(site: Site, fields: dict[str, Any]) -> None:
    payload = Payload.of(fields)
    error = failure_of(lambda: site.issuer().verify(payload))
    assert error.reason == "payload-unreadable"
    assert_silent(error, SECRET)


@pytest.mark.parametrize(
    "text", [f'"{SECRET}"', f'["{SECRET}"]', SECRET, f'{{"password": "{SECRET}']
)
def test_a_payload_that_is_no_object(site: Site, text: str) -> None:
    payload = Payload(text.encode())
    error = failure_of(lambda: site.issuer().verify(payload))
    assert error.reason == "payload-unreadable"
    assert_silent(error, SECRET)


@pytest.mark.parametrize(
    "value",
    [
        f"host=db password={SECRET}",
        {"deep": [SECRET]},
        f"postgresql://x:{SECRET}@db",
        f"postgresql://a:{SECRET}@[db",
    ],
)
def test_a_payload_that_repeats_its_password(site: Site, value: object) -> None:
    current = Payload.of({"username": site.slots[0], "password": SECRET, "dsn": value})
    propose = PostgreSQL.propose
    error = failure_of(lambda: propose(site.issuer(), site.slots[1], "r1", current))
    assert error.reason == "payload-repeats-password"
    assert_silent(error, SECRET)


@pytest.mark.parametrize("mode", ["unavailable", "exhausted", "denied", "black-hole"])
def test_secret_manager_fails_while_a_version_is_added(failing: Embedded, mode: str) -> None:
    name = failing.create(f"add-{mode}")
    failing.controls.set_failure(mode, "AddSecretVersion")
    error = failure_of(lambda: failing.store.add_version(name, Payload(SECRET.encode())))
    assert_silent(error, SECRET)


def test_a_version_that_does_not_fit(embedded: Embedded) -> None:
    large = Payload(SECRET.encode() * 2000)
    error = failure_of(lambda: embedded.store.add_version(embedded.create("large"), large))
    assert_silent(error, SECRET)


def test_a_payload_that_arrives_damaged(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = embedded.create("damaged")
    embedded.store.add_version(name, Payload(SECRET.encode()))
    checksum = SimpleNamespace(value=lambda _data: 0)
    monkeypatch.setattr("rotation.google.secret_manager.google_crc32c", checksum)
    error = failure_of(lambda: embedded.store.access(name, 1))
    assert_silent(error, SECRET)


def test_what_hangs_off_an_exception_is_rendered() -> None:
    def fail(word: str) -> None:
        try:
            raise ValueError(word)
        except ValueError:
            raise TypeError from None

    error = failure_of(lambda: fail(SECRET))
    assert [type(cause) for cause in chain(error)] == [TypeError, ValueError]
    assert SECRET in rendered(error)
