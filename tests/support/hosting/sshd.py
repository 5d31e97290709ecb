"""A real OpenSSH server on a free port, for the user who runs the tests."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rotation.local.postgres.server import free_port

SSHD: Final = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
KEYGEN: Final = shutil.which("ssh-keygen")
NO_SSHD: Final = "needs sshd and ssh-keygen: apt-get install openssh-server openssh-client"


@dataclass(frozen=True)
class Sshd:
    """A running server."""

    port: int
    user: str
    private_key: bytes
    #: A key that the server does not accept.
    strange_key: bytes
    known_hosts: str
    #: A line for the same server with another key.
    wrong_known_hosts: str

    def url(self, path: Path) -> str:
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def run_sshd(folder: Path, kind: str = "ed25519") -> Iterator[Sshd]:
    """Run a server whose files are in ``folder``."""
    assert SSHD is not None, NO_SSHD
    for name in ("user", "strange", "host", "wrong"):
        _generate(folder / name, kind if name != "host" else "ed25519")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # started by root it insists on the folder
    port = free_port()
    (folder / "config").write_text(_config(folder, port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        _wait_for(port, process)
        yield Sshd(
            port,
            getpass.getuser(),
            (folder / "user").read_bytes(),
            (folder / "strange").read_bytes(),
            _line(folder / "host", port),
            _line(folder / "wrong", port),
        )
    finally:
        process.terminate()
        process.wait()


def _generate(path: Path, kind: str) -> None:
    assert KEYGEN is not None, NO_SSHD
    subprocess.run([KEYGEN, "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)


def _config(folder: Path, port: int) -> str:
    return f"""\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
"""


def _line(key: Path, port: int) -> str:
    kind, data, *_ = key.with_suffix(".pub").read_text().split()
    return f"[127.0.0.1]:{port} {kind} {data}\n"


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError("sshd did not start")
