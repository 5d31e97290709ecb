"""SSH for plain Git, without the ``ssh`` program and without files.

Rules of this module:
  1. A host key that ``known_hosts`` does not list is refused; none is ever learned.
  2. The private key is parsed in memory; no agent and no file of the machine is asked.
  3. An address is judged after the name was looked up, and the judged one is connected to.
  4. A server that says nothing, or a byte now and then, is hung up on when its time is over.
  5. No password, no forwarding, no shell: one command on one connection, and the end.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any, Final

import paramiko
from dulwich.client import SSHVendor
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from rotation.kit import deadline
from rotation.kit.net import addresses
from rotation.kit.net.addresses import ForbiddenAddressError
from rotation.kit.net.location import Location
from rotation.model.errors import AccessDeniedError, PermanentError, TemporaryError
from rotation.participants.git.repository import SshKey

#: Seconds that one command may take, however steadily its answer comes.
SECONDS: Final = 240.0
_KINDS: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


class Connection:
    """One command on an SSH server, as dulwich wants it."""

    def __init__(
        self, client: paramiko.SSHClient, channel: paramiko.Channel, watch: Callable[[], None]
    ) -> None:
        self._client = client
        self._channel = channel
        self._end_watch = watch
        self.stderr = channel.makefile_stderr("rb")

    def read(self, size: int) -> bytes:
        """Read exactly ``size`` bytes, fewer only at the end."""
        parts = []
        while size > 0 and (part := self._channel.recv(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._channel.sendall(data)

    def can_read(self) -> bool:
        """Return whether something has arrived."""
        return bool(self._channel.recv_ready())

    def close(self) -> None:
        """End the connection."""
        self._end_watch()
        self._channel.close()
        self._client.close()


class KnownHostsOnly(SSHVendor):
    """Connects with one key to servers whose host keys are known."""

    def __init__(self, credential: SshKey, connect_seconds: float, answer_seconds: float) -> None:
        self._credential = credential
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds

    def run_command(  # type: ignore[override]  # a connection stands for the subprocess
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        **_unused: object,
    ) -> Connection:
        """Connect, and start ``command``."""
        key = _private_key(self._credential.private_key)
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        _believe(client, self._credential.known_hosts)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(client.close)
            with _translated(host):
                end = self._open(host, port or paramiko.config.SSH_PORT)
                on_failure.callback(end.close)
                with _hung_up_on(end, self._answer_seconds):
                    channel = self._begin(client, end, host, port, username, key, command)
            on_failure.pop_all()
        # A method of the socket, not of the client: that one waits for its own thread.
        watch = contextlib.ExitStack()
        watch.enter_context(_hung_up_on(end, SECONDS))
        return Connection(client, channel, watch.close)

    def _open(self, host: str, port: int) -> socket.socket:
        is_loopback = Location("ssh", host, port, "/").is_loopback

        def work() -> socket.socket:
            return addresses.connect(
                host, port, is_loopback=is_loopback, seconds=self._connect_seconds
            )

        try:
            return deadline.run(work, self._connect_seconds, socket.socket.close)
        except deadline.DeadlineError:
            raise TimeoutError from None

    def _begin(
        self,
        client: paramiko.SSHClient,
        end: socket.socket,
        host: str,
        port: int | None,
        username: str | None,
        key: paramiko.PKey,
        command: bytes,
    ) -> paramiko.Channel:
        """Log in, and start the command."""
        client.connect(
            host,
            port or paramiko.config.SSH_PORT,
            username=username or self._credential.username or "git",
            pkey=key,
            allow_agent=False,
            look_for_keys=False,
            timeout=self._connect_seconds,
            banner_timeout=self._answer_seconds,
            auth_timeout=self._answer_seconds,
            sock=end,
        )
        transport = client.get_transport()
        if transport is None:
            raise EOFError
        channel = transport.open_session(timeout=self._answer_seconds)
        channel.settimeout(self._answer_seconds)
        channel.exec_command(command)
        return channel


@contextlib.contextmanager
def _hung_up_on(end: socket.socket, seconds: float) -> Iterator[None]:
    """Cut a connection when the time is over: whoever waits on it wakes up."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline.left(seconds), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    try:
        yield
    except paramiko.AuthenticationException:
        raise AccessDeniedError(
            f"{host} refused the SSH key",
            remedy="add its public key to the repository as a deploy key with write access",
        ) from None
    except paramiko.BadHostKeyException:
        raise _stranger(host, "another host key than known_hosts lists") from None
    except ForbiddenAddressError as error:
        raise PermanentError(
            f"{host} is not asked: {error}",
            remedy="write the name or address of the Git server itself",
            reason="bad-repository",
        ) from None
    except (OSError, EOFError) as error:
        raise TemporaryError(f"{host} cannot be reached by SSH ({type(error).__name__})") from None
    except paramiko.SSHException as error:
        if "known_hosts" in str(error):
            raise _stranger(host, "a host key that known_hosts does not list") from None
        raise TemporaryError(f"SSH to {host} failed ({type(error).__name__})") from None


def _stranger(host: str, what: str) -> PermanentError:
    return PermanentError(
        f"{host} has {what}",
        remedy="compare its fingerprint with the one its operator publishes, then put the line "
        "of ssh-keyscan into known_hosts",
        reason="host-key-unknown",
    )


def _believe(client: paramiko.SSHClient, known_hosts: str) -> None:
    keys = client.get_host_keys()
    for line in known_hosts.splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "@")):
            continue
        try:
            entry: Any = HostKeyEntry.from_line(line)
        except (InvalidHostKey, paramiko.SSHException, ValueError):
            entry = None
        if entry is not None:
            for name in entry.hostnames:
                keys.add(name, entry.key.get_name(), entry.key)
    if not len(keys):
        raise PermanentError(
            "known_hosts has no usable line",
            remedy="put the lines of ssh-keyscan in, after comparing their fingerprints",
            reason="host-key-unknown",
        )


def _private_key(text: bytes) -> paramiko.PKey:
    for kind in _KINDS:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(StringIO(text.decode("ascii", "replace")))
    raise PermanentError(
        "the SSH key cannot be read",
        remedy="store the private key itself, OpenSSH or PEM, without a passphrase; Ed25519, "
        "ECDSA or RSA",
        reason="bad-ssh-key",
    )
