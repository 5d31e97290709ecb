"""What is found on real servers before a rotation, and how their refusals are named."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rotation.issuers.redis.server import Server
from rotation.issuers.redis.settings import RedisSettings
from rotation.kit.credentials.rotator import Login
from rotation.kit.net.node import Node
from rotation.local.postgres.certificate import write_certificates
from rotation.local.postgres.server import free_port
from rotation.local.redis import RedisServer
from rotation.model.errors import (
    CredentialRefusedError,
    PermanentError,
    RotationError,
    TemporaryError,
)
from rotation.model.password import Password
from rotation.model.payload import Payload
from rotation.model.plugin import Finding, Severity
from tests.support.redis.kit import INSTALLED, Site, hash_of, make_site


def problems(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {
        finding.check: finding.severity.value
        for finding in findings
        if finding.severity is not Severity.OK
    }


def problem(findings: tuple[Finding, ...], check: str) -> str:
    return next(
        f"{finding.message} / {finding.remedy}"
        for finding in findings
        if finding.check == check and finding.severity is not Severity.OK
    )


def test_a_sound_pair_passes_every_check(pair: Site) -> None:
    findings = pair.issuer().preflight(pair.mint(1), 1)
    assert problems(findings) == {}
    assert {finding.check for finding in findings} == {
        "rights",
        "passwords",
        "fence-marker",
        "login",
    }


def test_a_suspended_password_that_somebody_gave_back_is_found(site: Site) -> None:
    issuer, old = site.issuer(), site.mint(1)
    new = site.mint(2, old)
    issuer.suspend(issuer.identify(old), 3)
    assert problems(issuer.preflight(new, 3)) == {}
    site.by_hand("ACL", "SETUSER", site.user, f"#{hash_of(str(old.fields()['password']))}")
    assert problems(issuer.preflight(new, 3)) == {"passwords": "warning"}


def test_before_the_first_rotation_a_password_is_only_noted(site: Site) -> None:
    assert problems(site.issuer().preflight(None)) == {"login": "untested"}
    site.by_hand("ACL", "SETUSER", site.user, f"#{hash_of('by hand')}")
    findings = site.issuer().preflight(None)
    assert problems(findings) == {"login": "untested", "passwords": "untested"}
    current = Payload.of({"username": site.user, "password": "by hand"})
    assert problems(site.issuer().preflight(current)) == {}


def test_a_look_changes_nothing(site: Site) -> None:
    payload = site.mint(1)
    before = (site.by_hand("ACL", "LIST"), site.server.aclfile.read_text())
    site.by_hand("ACL", "SETUSER", "by-hand", "off")
    site.issuer().preflight(payload, 1)
    site.by_hand("ACL", "DELUSER", "by-hand")
    assert (site.by_hand("ACL", "LIST"), site.server.aclfile.read_text()) == before


@pytest.mark.parametrize(
    ("rules", "check", "severity", "words"),
    [
        ("off", "user", "error", "is off"),
        ("nopass", "node", "error", "needs no password"),
        (f"#{'ab' * 32}", "passwords", "warning", "SHA-256 abababababababab... /"),
        ("resetpass", "login", "error", "refuses the login"),
    ],
)
def test_what_is_wrong_with_the_user_is_named(
    site: Site, rules: str, check: str, severity: str, words: str
) -> None:
    payload = site.mint(1)
    site.by_hand("ACL", "SETUSER", site.user, rules)
    findings = site.issuer().preflight(payload, 1)
    assert problems(findings)[check] == severity
    assert words in problem(findings, check)


def test_a_missing_user_is_named_with_its_node(pair: Site) -> None:
    payload = pair.mint(1)
    pair.by_hand("ACL", "DELUSER", pair.user, server=pair.servers[1])
    findings = pair.issuer().preflight(payload, 1)
    assert problems(findings) == {"node": "error", "login": "error"}
    assert pair.servers[1].address in problem(findings, "node")


def test_other_rights_on_another_node_are_a_warning(pair: Site) -> None:
    payload = pair.mint(1)
    pair.by_hand("ACL", "SETUSER", pair.user, "-get", server=pair.servers[1])
    findings = pair.issuer().preflight(payload, 1)
    assert problems(findings) == {"equal-rules": "warning"}
    assert pair.servers[1].address in problem(findings, "equal-rules")


def test_a_newer_token_on_the_server_is_an_error(site: Site) -> None:
    payload = site.mint(7)
    assert problems(site.issuer().preflight(payload, 7)) == {}
    findings = site.issuer().preflight(payload, 6)
    assert problems(findings) == {"fence-marker": "error"}
    assert "token 7" in problem(findings, "fence-marker")


@pytest.mark.parametrize(
    "right", ["acl|setuser", "acl|save", "client|kill", "client|list", "client|id"]
)
def test_a_missing_right_is_named_with_its_grant(site: Site, right: str) -> None:
    payload = site.mint(1)
    site.by_hand("ACL", "SETUSER", site.admin["username"], f"-{right}")
    findings = site.issuer().preflight(payload, 1)
    assert problems(findings) == {"rights": "error"}
    grant = f"ACL SETUSER {site.admin['username']} +{right}"
    assert grant in problem(findings, "rights")
    site.by_hand(*grant.split())
    assert problems(site.issuer().preflight(payload, 1)) == {}


def test_without_a_right_a_change_is_refused_with_its_grant(site: Site) -> None:
    payload = site.mint(1)
    site.by_hand("ACL", "SETUSER", site.admin["username"], "-acl|setuser")
    with pytest.raises(PermanentError, match=r"\+acl\|setuser") as refused:
        site.issuer().suspend(site.issuer().identify(payload), 2)
    assert refused.value.reason == "missing-right"


def test_no_more_rights_are_needed_than_the_page_says(site: Site) -> None:
    site.by_hand("ACL", "SETUSER", site.admin["username"], "-config|get")
    old = site.mint(1)
    new = site.mint(2, old)
    assert problems(site.issuer().preflight(new, 2) + site.issuer().preflight(old, 2)) == {}
    site.issuer().suspend(site.issuer().identify(old), 3)
    site.issuer().restore(site.issuer().identify(old), 3)
    site.issuer().revoke(site.issuer().identify(old), 3)


@pytest.mark.parametrize(
    ("persist", "severity"), [("aclfile", "error"), ("config", "error"), ("none", None)]
)
def test_what_a_restart_would_undo_is_an_error(
    binary: Path, tmp_path: Path, persist: str, severity: str | None
) -> None:
    server = RedisServer(tmp_path / "one", binary)
    server.use_nothing()
    with server:
        site = make_site(server, save=False)
        site.by_hand("ACL", "SETUSER", site.admin["username"], "+config|rewrite")
        payload = site.mint(1, persist="none")
        found = problems(site.issuer(persist=persist).preflight(payload, 1))
        assert found.get("persist") == severity
        assert set(found) <= {"persist"}


def test_a_cluster_is_refused(binary: Path, tmp_path: Path) -> None:
    options = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with RedisServer(tmp_path / "one", binary, *options) as server:
        site = make_site(server)
        with pytest.raises(PermanentError, match="cluster"):
            site.issuer().connect()
        assert "cluster" in problem(site.issuer().preflight(None), "node")


def test_a_wrong_password_is_told_from_silence_and_from_a_full_server(site: Site) -> None:
    payload = site.mint(1)
    wrong = Payload.of({**payload.fields(), "password": "hunter2"})
    with pytest.raises(CredentialRefusedError) as refused:
        site.issuer().verify(wrong)
    assert "hunter2" not in repr(refused.value)
    assert refused.value.__context__ is None
    with ExitStack() as sessions:
        site.by_hand("CONFIG", "SET", "maxclients", "3")
        root = sessions.enter_context(site.server.log_in())
        root.ping()
        for _ in range(2):
            sessions.enter_context(site.log_in(payload)).ping()
        with pytest.raises(TemporaryError, match="no more connections"):
            site.issuer().verify(payload)
        root.execute_command("CONFIG", "SET", "maxclients", "100")
    site.server.kill()
    with pytest.raises(TemporaryError, match="does not answer"):
        site.issuer().verify(payload)


def test_a_consumer_that_may_do_nothing_else_proves_itself_by_its_login(site: Site) -> None:
    payload = site.mint(1)
    site.by_hand("ACL", "SETUSER", site.user, "-@all", "+get")
    assert site.issuer().verify(payload).probes == 0
    site.by_hand("ACL", "SETUSER", site.user, "+ping")
    assert site.issuer().verify(payload).probes == 1


def test_a_frozen_server_is_given_up(site: Site) -> None:
    payload = site.mint(1)
    issuer = site.issuer(timeout=1)
    os.kill(site.server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(TemporaryError, match="does not answer"):
            issuer.verify(payload)
    finally:
        os.kill(site.server.pid, signal.SIGCONT)
    assert issuer.verify(payload).identity == site.user


@contextmanager
def answering(text: bytes, *, slowly: bool = False) -> Iterator[Node]:
    """A server that says one thing to whatever it is asked."""
    parts = [bytes([byte]) for byte in text] if slowly else [text]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    while connection.recv(4096):
                        for part in parts:
                            connection.sendall(part)
                            if slowly and ended.wait(0.2):
                                return
                except OSError:
                    return

        ended = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        yield Node(*listener.getsockname())
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (b"-LOADING server is loading\r\n", TemporaryError, "not ready"),
        (b"-MASTERDOWN Link with MASTER is down\r\n", TemporaryError, "not ready"),
        (b"-BUSY a script runs\r\n", TemporaryError, "not ready"),
        (b"-ERR max number of clients reached\r\n", TemporaryError, "no more connections"),
        (b"-WRONGPASS invalid username-password pair\r\n", CredentialRefusedError, "refuses"),
        (b"-NOAUTH Authentication required.\r\n", CredentialRefusedError, "refuses"),
        (b"-ERR hunter2 is strange\r\n", PermanentError, "refuses the login: ERR"),
        (b"-STRANGE hunter2\r\n", PermanentError, "refuses the login: STRANGE"),
        (b"HTTP/1.1 400 hunter2\r\n", TemporaryError, "does not answer"),
    ],
)
def test_each_refusal_says_what_to_do_next_and_quotes_nobody(
    text: bytes, kind: type[RotationError], words: str
) -> None:
    with answering(text) as node:
        settings = RedisSettings(
            nodes=(str(node),), user="app", admin="projects/a/secrets/b", tls="disable"
        )
        with pytest.raises(kind, match=words) as caught:
            Server(settings, node, Login("app", Password("hunter2")))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_server_that_answers_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotation.issuers.redis.server._ANSWERS", 1)
    with answering(b"+" + b"O" * 100, slowly=True) as node:
        settings = RedisSettings(
            nodes=(str(node),), user="app", admin="projects/a/secrets/b", tls="disable", timeout=1
        )
        with pytest.raises(TemporaryError, match="does not answer"):
            Server(settings, node, Login("app", Password("hunter2")))


@pytest.mark.parametrize(
    ("tls", "ca", "words"),
    [
        ("verify-full", "ca.pem", ""),
        ("verify-ca", "ca.pem", ""),
        ("require", "", ""),
        ("verify-full", "other/ca.pem", "TLS"),
        ("verify-full", "", "TLS"),
    ],
)
def test_tls_is_verified_as_the_policy_says(tmp_path: Path, tls: str, ca: str, words: str) -> None:
    if INSTALLED is None:
        pytest.skip("redis-server is not installed, and the packaged Valkey has no TLS")
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    write_certificates(tmp_path)
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(tmp_path / "server.pem")]
    options += ["--tls-key-file", str(tmp_path / "server.key")]
    with RedisServer(tmp_path / "one", Path(INSTALLED), *options) as server:
        site = make_site(server)
        issuer = site.issuer(
            nodes=(f"127.0.0.1:{port}",), tls=tls, tls_root_cert=str(tmp_path / ca) if ca else ""
        )
        if words:
            with pytest.raises(PermanentError, match=words):
                issuer.connect()
        else:
            issuer.connect()


def test_a_server_without_tls_is_refused(site: Site) -> None:
    with pytest.raises(TemporaryError, match="speaks no TLS"):
        site.issuer(tls="verify-full", timeout=1).connect()
