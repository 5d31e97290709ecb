"""A gate believes a server whose certificate it trusts, and no other."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.gates._reach import SecretHeader
from rotation.local.postgres.certificate import write_certificates
from rotation.model.rollout import Look, Verdict
from tests.contract.gates.subjects import HEADER, SPEAKERS, TOKENS, watch
from tests.support.web import Reply, Web, serve_web

SPEAKER = SPEAKERS["http"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path)
    return tmp_path


@pytest.fixture
def web(folder: Path) -> Iterator[Web]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with serve_web(context) as web:
        web.says(body=SPEAKER.well)
        yield web


def check(url: str, root_cert: Path | str = "") -> Verdict:
    header = SecretHeader(**HEADER)
    return SPEAKER.gate(url, tls_root_cert=str(root_cert), header=header).check(watch())


def test_a_trusted_server_is_told_the_token(web: Web, folder: Path) -> None:
    assert check(web.url, folder / "ca.pem").look is Look.PASS
    assert web.asked[0].headers["X-Api-Key"] == TOKENS["secret"]


def test_a_stranger_is_told_nothing(web: Web, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    write_certificates(other)
    for root_cert in ("", other / "ca.pem"):
        verdict = check(web.url, root_cert)
        assert verdict.look is Look.WAIT
        assert "its certificate is not trusted" in verdict.evidence
    assert web.asked == []


def test_a_certificate_of_another_name_is_not_trusted(web: Web, folder: Path) -> None:
    verdict = check(web.url.replace("127.0.0.1", "127.0.0.2"), folder / "ca.pem")
    assert verdict.look is Look.WAIT
    assert web.asked == []


@pytest.mark.parametrize("name", ["none.pem", "server.key", ""])
def test_a_file_that_holds_no_certificate_waits(web: Web, folder: Path, name: str) -> None:
    verdict = check(web.url, folder / name)
    assert verdict.look is Look.WAIT
    assert "tls_root_cert cannot be loaded" in verdict.evidence


def test_a_tls_server_that_drips_is_left(web: Web, folder: Path) -> None:
    web.reply = lambda _asked: Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n", drips=b" ")
    verdict = check(web.url, folder / "ca.pem")
    assert verdict.look is Look.WAIT
    assert "no answer within 1 s" in verdict.evidence
