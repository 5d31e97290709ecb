"""The rules of `rotation.ports.gate`, for every gate: who cannot see waits, and never passes."""

import importlib
import pkgutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass

import pytest

import rotation.gates
from rotation.gates._reach import SecretHeader
from rotation.gates.sessions import SessionsGate, SessionsSettings
from rotation.model.errors import AccessDeniedError, NotFoundError, PolicyError, TemporaryError
from rotation.model.plugin import GateSpec, Observation, Session
from rotation.model.rollout import Look, Verdict
from tests.support.web import Asked, Reply, Web, serve_web

from .subjects import HEADER, SPEAKERS, SUBJECTS, TOKENS, Speaker, environment, unseen, watch

MODULES = [name for _, name, _ in pkgutil.iter_modules(rotation.gates.__path__) if name[0] != "_"]
#: Evidence is stored on the secret.
LONGEST_EVIDENCE = 1500


@pytest.fixture
def web() -> Iterator[Web]:
    with serve_web() as web:
        yield web


@pytest.fixture(params=SPEAKERS)
def speaker(request: pytest.FixtureRequest) -> Speaker:
    return SPEAKERS[request.param]


def fine(verdict: Verdict) -> Verdict:
    """What every verdict keeps, whatever it is."""
    assert verdict.evidence
    assert len(verdict.evidence) <= LONGEST_EVIDENCE
    assert verdict.evidence.isprintable()
    assert not verdict.evidence.endswith(".")
    assert [token for token in TOKENS.values() if token in repr(verdict)] == []
    return verdict


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exposes_one_gate_with_a_frozen_spec(name: str) -> None:
    gate = importlib.import_module(f"rotation.gates.{name}").GATE
    assert isinstance(gate.spec, GateSpec)
    assert gate.spec.name.replace("-", "_") == name
    assert all((gate.spec.title, gate.spec.does, gate.spec.network))
    assert is_dataclass(gate.spec.settings)
    assert gate.spec.permissions_not_needed


def test_every_gate_is_under_this_contract() -> None:
    assert set(SUBJECTS) == set(MODULES)


def test_a_well_world_passes(web: Web, speaker: Speaker) -> None:
    web.says(body=speaker.well)
    assert fine(speaker.gate(web.url).check(watch())).look is Look.PASS


def test_consumers_that_suffer_fail(web: Web, speaker: Speaker) -> None:
    web.says(body=speaker.hurt)
    assert fine(speaker.gate(web.url).check(watch())).look is Look.FAIL


def test_a_look_can_be_repeated_by_anybody(web: Web, speaker: Speaker) -> None:
    web.says(body=speaker.well)
    gate = speaker.gate(web.url)
    verdicts = [looking.check(watch()) for looking in (gate, gate, speaker.gate(web.url))]
    assert verdicts[0] == verdicts[1] == verdicts[2]


def broken_off(well: bytes) -> Reply:
    return Reply(body=well, headers={"Content-Length": str(len(well) + 1)})


INCONCLUSIVE: dict[str, Callable[[bytes, Asked], Reply]] = {
    "unauthorized": lambda well, _: Reply(401, well),
    "forbidden": lambda well, _: Reply(403, well),
    "nobody there": lambda well, _: Reply(404, well),
    "too many requests": lambda well, _: Reply(429, well),
    "redirected to a login": lambda well, _: Reply(302, well, {"Location": "https://sso.test/"}),
    "redirected to a look-alike": lambda well, _: Reply(307, well, {"Location": "/elsewhere"}),
    "empty": lambda _well, _: Reply(body=b""),
    "no JSON": lambda _well, _: Reply(body=b"<html>it works</html>"),
    "another JSON": lambda _well, _: Reply(body=b"[]"),
    "null": lambda _well, _: Reply(body=b"null"),
    "not a number": lambda well, _: Reply(body=well.replace(b"{", b'{"x": NaN, ', 1)),
    "a key twice": lambda well, _: Reply(body=well.replace(b"{", b'{"a": 1, "a": 2, ', 1)),
    "half": lambda well, _: Reply(body=well[: len(well) // 2]),
    "two documents": lambda well, _: Reply(body=well + well),
    "UTF-16": lambda well, _: Reply(body=well.decode().encode("utf-16")),
    "very deep": lambda _well, _: Reply(body=b"[" * 100_000),
    "very long": lambda well, _: Reply(body=well + b" " * 2_000_000),
    "very long, of unknown length": lambda well, _: Reply(
        raw=b"HTTP/1.0 200 OK\r\n\r\n" + well + b" " * 2_000_000
    ),
    "breaking off": lambda well, _: broken_off(well),
    "no HTTP": lambda _well, _: Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "silence": lambda _well, _: Reply(raw=b""),
    "endless headers": lambda _well, _: Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000),
    "dripping headers": lambda _well, _: Reply(raw=b"HTTP/1.1 200 OK\r\nX: ", drips=b"x"),
    "dripping body": lambda well, _: Reply(raw=b"HTTP/1.0 200 OK\r\n\r\n" + well, drips=b" "),
    "hanging": lambda _well, _: Reply(hangs=True),
}


@pytest.mark.parametrize("kind", INCONCLUSIVE)
def test_who_cannot_see_waits(web: Web, speaker: Speaker, kind: str) -> None:
    web.reply = lambda asked: INCONCLUSIVE[kind](speaker.well, asked)
    verdict = fine(speaker.gate(web.url).check(watch()))
    assert verdict.look is Look.WAIT
    wait_until_nobody_looks()


def wait_until_nobody_looks() -> None:
    for thread in threading.enumerate():
        if thread.name == "rotation-http":
            thread.join(10)
            assert not thread.is_alive()


def test_a_port_that_nobody_listens_on_waits(speaker: Speaker) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        gate = speaker.gate(f"http://127.0.0.1:{taken.getsockname()[1]}")
        verdict = fine(gate.check(watch()))
    assert verdict.look is Look.WAIT
    assert "refused" in verdict.evidence


def test_a_name_that_does_not_exist_waits(speaker: Speaker) -> None:
    verdict = fine(speaker.gate("http://nowhere.invalid").check(watch()))
    assert verdict.look is Look.WAIT


def test_an_untrusted_certificate_waits(web: Web, speaker: Speaker) -> None:
    gate = speaker.gate(web.url.replace("http://", "https://"))
    assert fine(gate.check(watch())).look is Look.WAIT


def fails_with(error: Exception) -> Callable[..., str]:
    def raising(*_: object) -> str:
        raise error

    return raising


@pytest.mark.parametrize(
    "error",
    [
        TemporaryError("no answer"),
        NotFoundError("no version latest", remedy="add one"),
        AccessDeniedError("secretmanager.versions.access is missing"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("what", ["read_secret", "identity_token"])
def test_a_token_that_cannot_be_had_waits_and_asks_nobody(
    web: Web, speaker: Speaker, error: Exception, what: str
) -> None:
    web.says(body=speaker.well)
    settings = {"read_secret": {"header": SecretHeader(**HEADER)},
                "identity_token": {"identity": True}}[what]  # fmt: skip
    gate = speaker.gate(web.url, environment(**{what: fails_with(error)}), **settings)
    assert fine(gate.check(watch())).look is Look.WAIT
    assert web.asked == []


@pytest.mark.parametrize("payload", [b"", b"two\nlines", b"\x00", b"\xff\xfe", b"x" * 9000])
def test_a_secret_that_is_no_header_waits(web: Web, speaker: Speaker, payload: bytes) -> None:
    web.says(body=speaker.well)
    env = environment(read_secret=lambda _name: payload)
    gate = speaker.gate(web.url, env, header=SecretHeader(**HEADER))
    assert fine(gate.check(watch())).look is Look.WAIT
    assert web.asked == []


def test_tokens_are_sent_as_headers_and_never_in_the_url(web: Web, speaker: Speaker) -> None:
    web.says(body=speaker.well)
    gate = speaker.gate(web.url, header=SecretHeader(**HEADER), identity=True)
    assert fine(gate.check(watch())).look is Look.PASS
    (asked,) = web.asked
    assert asked.headers["X-Api-Key"] == TOKENS["secret"]
    assert asked.headers["Authorization"] == f"Bearer {TOKENS['identity']}"
    assert not [token for token in TOKENS.values() if token in asked.path]


def test_a_server_that_echoes_a_token_does_not_get_it_into_the_evidence(
    web: Web, speaker: Speaker
) -> None:
    def echo(status: int) -> Callable[[Asked], Reply]:
        def reply(asked: Asked) -> Reply:
            token = asked.headers["X-Api-Key"]
            return Reply(
                status,
                f'{{"status": "error", "errorType": "{token}", "error": "{token}", '
                f'"contract": "{token}", "{token}": "{token}"}}'.encode(),
                {"X-Echo": token, "Location": f"https://{token}.test/"},
            )

        return reply

    gate = speaker.gate(web.url, header=SecretHeader(**HEADER))
    for status in (200, 302, 400, 403, 500):
        web.reply = echo(status)
        fine(gate.check(watch()))
        assert web.asked.pop().headers["X-Api-Key"] == TOKENS["secret"]


def test_a_token_never_travels_in_the_clear(speaker: Speaker) -> None:
    for settings in ({"header": SecretHeader(**HEADER)}, {"identity": True}):
        with pytest.raises(PolicyError, match="https"):
            speaker.gate("http://canary.test", **settings)


@pytest.mark.parametrize(
    "url",
    ["", "canary.test", "ftp://canary.test", "file:///etc/passwd", "https://", "https://a b",
     "https://user:hunter2@canary.test", "https://canary.test/#x", "https://canary.test:0/",
     "https://canary.test:99999/", "https://[::1/", "https://canary\n.test", "https://x/\x00",
     "http://169.254.169.254/", "http://metadata.google.internal/", "https://ünï.test",
     "https://canary.test/" + "x" * 3000],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_a_quote(speaker: Speaker, url: str) -> None:
    with pytest.raises(PolicyError) as caught:
        speaker.gate(url)
    assert "hunter2" not in str(caught.value)
    assert "url" in str(caught.value)


# Sessions: the issuer looks, and these are its answers.


def on(count: int) -> Observation:
    sessions = tuple(Session("db:5432", f"10.0.0.{n} web") for n in range(count))
    return Observation(sessions, is_conclusive=True, nodes=("db:5432",))


def sessions_gate(**settings: object) -> SessionsGate:
    return SessionsGate(SessionsSettings(**settings), environment())  # type: ignore[arg-type]


def raises(error: Exception) -> Callable[[], Observation]:
    def look() -> Observation:
        raise error

    return look


@pytest.mark.parametrize(
    "look",
    [
        unseen,
        lambda: Observation(on(3).sessions, is_conclusive=False, nodes=(), unobservable_reason=""),
        raises(TemporaryError("db:5432 cannot be reached")),
        raises(NotFoundError("no version 7")),
    ],
    ids=["dark", "half dark", "temporary", "permanent"],
)
@pytest.mark.parametrize("which", ["next_use", "previous_use"])
def test_sessions_that_cannot_be_seen_wait(look: Callable[[], Observation], which: str) -> None:
    uses = {"next_use": lambda: on(1), "previous_use": lambda: on(0), which: look}
    verdict = fine(sessions_gate(left=True).check(watch(**uses)))
    assert verdict.look is Look.WAIT


@pytest.mark.parametrize(
    ("settings", "new", "old", "look"),
    [
        ({}, 1, 5, Look.PASS),
        ({}, 0, 0, Look.WAIT),
        ({"arrived": 3}, 2, 0, Look.WAIT),
        ({"arrived": 3}, 3, 0, Look.PASS),
        ({"left": True}, 1, 1, Look.WAIT),
        ({"left": True}, 1, 0, Look.PASS),
        ({"left": True}, 0, 0, Look.WAIT),
        ({"left": True, "arrived": 0}, 0, 0, Look.PASS),
    ],
)
def test_sessions_are_counted(settings: dict[str, object], new: int, old: int, look: Look) -> None:
    uses = {"next_use": lambda: on(new), "previous_use": lambda: on(old)}
    assert fine(sessions_gate(**settings).check(watch(**uses))).look is look


def test_without_a_previous_credential_nobody_has_to_leave() -> None:
    asked = watch(next_use=lambda: on(1), previous_use=None)
    assert sessions_gate(left=True).check(asked).look is Look.PASS


def test_names_of_clients_are_bounded_and_printable() -> None:
    crowd = [Session("db:5432", f"10.0.0.{n} \x1b[31m{'x' * 500}\n{n}") for n in range(200)]
    observation = Observation(tuple(crowd), is_conclusive=True, nodes=("db:5432",))
    verdict = fine(
        sessions_gate(left=True).check(
            watch(next_use=lambda: observation, previous_use=lambda: observation)
        )
    )
    assert "200 sessions" in verdict.evidence
