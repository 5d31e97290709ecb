"""Plain Git over a real OpenSSH server: whom we believe, which keys work, and what is not used."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotation.model.errors import (
    AccessDeniedError,
    NotFoundError,
    PermanentError,
    TemporaryError,
)
from rotation.participants.git.host import Host
from rotation.participants.git.repository import SshKey, Token
from tests.contract.hosts.test_host_contract import BRANCH, CHANGE, PIN, base_of
from tests.support.hosting.bare import Bare
from tests.support.hosting.sites import Site, Workspace, ssh_site
from tests.support.hosting.sshd import KEYGEN, Sshd, run_sshd


@pytest.fixture
def site(template: Bare, sshd: Sshd, tmp_path: Path) -> Iterator[Site]:
    with ssh_site(Workspace(tmp_path, template, sshd)) as site:
        yield site


@pytest.fixture
def host(site: Site) -> Callable[..., Host]:
    def with_key(**changes: Any) -> Host:
        key = replace(site.repository.credentials(), **changes)  # type: ignore[type-var]
        return site.host(credentials=lambda: key)

    return with_key


def test_server_with_another_host_key_is_refused(host: Callable[..., Host], sshd: Sshd) -> None:
    with pytest.raises(PermanentError) as caught:
        host(known_hosts=sshd.wrong_known_hosts).head("main")
    assert caught.value.reason == "host-key-unknown"
    assert "fingerprint" in caught.value.remedy


def test_server_that_is_not_listed_is_refused(host: Callable[..., Host], sshd: Sshd) -> None:
    elsewhere = sshd.known_hosts.replace("127.0.0.1", "git.example.com")
    with pytest.raises(PermanentError) as caught:
        host(known_hosts=elsewhere).head("main")
    assert caught.value.reason == "host-key-unknown"


@pytest.mark.parametrize("lines", ["", "# nothing\n", "one two\n", "h ssh-ed25519 !!!\n"])
def test_known_hosts_without_a_usable_line_is_reported(
    host: Callable[..., Host], lines: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        host(known_hosts=lines).head("main")
    assert caught.value.reason == "host-key-unknown"


def test_revoked_lines_are_not_believed(host: Callable[..., Host], sshd: Sshd) -> None:
    with pytest.raises(PermanentError):
        host(known_hosts=f"@revoked {sshd.known_hosts}").head("main")


def test_hashed_names_are_known(
    site: Site, host: Callable[..., Host], sshd: Sshd, tmp_path: Path
) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(sshd.known_hosts)
    assert KEYGEN is not None
    subprocess.run([KEYGEN, "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    hashed = path.read_text()
    assert "127.0.0.1" not in hashed
    assert host(known_hosts=hashed).head("main") == site.bare.head("main")


def test_key_that_the_server_does_not_know_is_refused(
    host: Callable[..., Host], sshd: Sshd
) -> None:
    with pytest.raises(AccessDeniedError) as caught:
        host(private_key=sshd.strange_key).head("main")
    assert "deploy key" in caught.value.remedy


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_older_kinds_of_keys_work(template: Bare, tmp_path: Path, kind: str) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    with run_sshd(keys, kind) as sshd, ssh_site(Workspace(tmp_path, template, sshd)) as site:
        assert site.host().head("main") == site.bare.head("main")


@pytest.mark.parametrize(
    "key", [b"", b"s3cr3t", b"-----BEGIN OPENSSH PRIVATE KEY-----\ns3cr3t\n-----END", b"\xff\x00"]
)
def test_text_that_is_not_a_key_is_reported_and_not_shown(
    host: Callable[..., Host], key: bytes
) -> None:
    with pytest.raises(PermanentError) as caught:
        host(private_key=key).head("main")
    assert caught.value.reason == "bad-ssh-key"
    assert "s3cr3t" not in str(caught.value)


def test_key_with_a_passphrase_is_reported(host: Callable[..., Host], tmp_path: Path) -> None:
    path = tmp_path / "locked"
    assert KEYGEN is not None
    options = ["-q", "-t", "ed25519", "-N", "passphrase", "-f", str(path)]
    subprocess.run([KEYGEN, *options], check=True)
    with pytest.raises(PermanentError) as caught:
        host(private_key=path.read_bytes()).head("main")
    assert "without a passphrase" in caught.value.remedy


def test_token_is_no_key(site: Site) -> None:
    with pytest.raises(PermanentError) as caught:
        site.host(credentials=lambda: Token("s3cr3t")).head("main")
    assert "s3cr3t" not in str(caught.value)


def test_repository_that_is_not_there_is_reported(site: Site) -> None:
    host = site.host(url=site.repository.url.replace("app.git", "none.git"))
    with pytest.raises(NotFoundError):
        host.head("main")


def test_server_that_does_not_listen_is_temporary(site: Site, sshd: Sshd) -> None:
    key = SshKey("", sshd.private_key, sshd.known_hosts)
    host = site.host(url="ssh://127.0.0.1:9/app.git", credentials=lambda: key)
    with pytest.raises(TemporaryError):
        host.head("main")


#: What the interpreter reports while `watched` is on.
_EVENTS: list[str] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _EVENTS is None:
        return
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "tempfile.mkstemp"):
        _EVENTS.append(f"{event} {arguments[:1]}")
    if event == "open" and any(letter in str(arguments[1]) for letter in "wxa+"):
        _EVENTS.append(f"open {arguments[0]}")


@contextmanager
def watched() -> Iterator[list[str]]:
    global _EVENTS  # noqa: PLW0603 - an audit hook cannot be taken away again
    events: list[str] = []
    if _EVENTS is None:
        sys.addaudithook(_hook)
    _EVENTS = events
    try:
        yield events
    finally:
        _EVENTS = None


def test_nothing_is_run_and_nothing_is_written_to_disk(site: Site) -> None:
    host = site.host()
    host.head("main")
    with watched() as events:
        base = base_of(host)
        host.read(base, PIN)
        oid = host.write(BRANCH, None, base, CHANGE)
        request = host.open_request(BRANCH, "main", "Pin", "", draft=False)
        host.merge(request, "main", oid)
        host.delete_branch(BRANCH, oid)
    assert events == []
    with watched() as events:
        subprocess.run(["true"], check=True)
    assert events
