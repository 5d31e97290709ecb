"""Another worker process: builds an issuer, connects, waits to be let go, and makes one change.

What it is to do comes as one line of JSON on its standard input (`Errand`), since a command line
shows what it says to everybody; a second line lets it go.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from rotation import registry
from rotation.model.payload import Payload
from rotation.policies.typed import read_record
from rotation.ports.issuer import IssuerEnvironment, MintRequest

ROOT = Path(__file__).parents[3]
#: The secret that every worker serves.
SECRET = "projects/42/secrets/contract"


class Errand(msgspec.Struct, kw_only=True):
    """What one worker is to do."""

    #: As a policy names the issuer, and says what it is set to.
    kind: str
    settings: dict[str, Any]
    #: Payloads of the secrets that it reads, by version.
    secrets: dict[str, dict[str, Any]] = {}
    #: Name of the call of `rotation.ports.issuer`.
    call: str = ""
    handle: str = ""
    token: int = 0
    candidate: bytes = b""


@contextmanager
def worker(errand: Errand) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker that is connected and waits; a line on its input lets it go."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(errand) + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"connected\n"
            yield process
        finally:
            process.kill()


def main() -> None:
    """Run one errand."""
    errand = msgspec.json.decode(sys.stdin.buffer.readline(), type=Errand)
    kind = registry.issuers()[errand.kind]
    settings = read_record(kind.spec.settings, errand.settings, "issuer", [])
    issuer = kind(
        settings,
        IssuerEnvironment(lambda name: Payload.of(errand.secrets[name]), lambda: "", SECRET),
    )
    issuer.connect()
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    sys.stdin.buffer.readline()
    if errand.call == "mint":
        issuer.mint(
            MintRequest(
                handle=errand.handle,
                rotation_id=f"r{errand.token}",
                token=errand.token,
                version=errand.token,
                candidate=Payload(errand.candidate),
            )
        )
    else:
        getattr(issuer, errand.call)(errand.handle, errand.token)
    issuer.close()


if __name__ == "__main__":
    main()
