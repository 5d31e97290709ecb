"""An SSH server that accepts everything and then says a byte now and then holds nobody."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotation.model.errors import PermanentError, TemporaryError
from rotation.participants.git import ssh
from rotation.participants.git.repository import Repository, SshKey
from rotation.participants.git.wire import Wire
from tests.support.hosting.sshd import KEYGEN, NO_SSHD, SSHD, Sshd, run_sshd

pytestmark = pytest.mark.skipif(SSHD is None or KEYGEN is None, reason=NO_SSHD)
#: Announces a packet of 64 KiB, and then says it byte by byte.
DRIPS = "printf ffff; while printf x; do sleep 0.1; done"


@pytest.fixture
def dripping(tmp_path: Path) -> Iterator[Sshd]:
    with run_sshd(tmp_path) as sshd:
        keys = tmp_path / "user.pub"
        keys.write_text(f'command="{DRIPS}" {keys.read_text()}')
        yield sshd


def wire(sshd: Sshd, url: str) -> Wire:
    key = SshKey(sshd.user, sshd.private_key, sshd.known_hosts)
    return Wire(Repository(url, lambda: key, answer_seconds=2.0, connect_seconds=2.0))


def test_a_server_that_says_a_byte_now_and_then_is_hung_up_on(
    dripping: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "SECONDS", 1.0)
    with pytest.raises(TemporaryError, match="ended early"):
        wire(dripping, dripping.url(Path("/x"))).heads()


def test_a_server_that_says_nothing_after_its_first_word_is_hung_up_on(dripping: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ssh://git@127.0.0.1:{mute.getsockname()[1]}/x"
        with pytest.raises(TemporaryError, match="SSH"):
            wire(dripping, url).heads()


@pytest.mark.parametrize("host", ["2130706433", "0.0.0.0", "169.254.169.254"])  # noqa: S104
def test_an_address_that_is_never_asked(dripping: Sshd, host: str) -> None:
    with pytest.raises(PermanentError, match="is not asked"):
        wire(dripping, f"ssh://git@{host}:{dripping.port}/x").heads()
