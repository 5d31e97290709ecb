"""OpenID tokens as google.auth gets them from a metadata server, here one on 127.0.0.1."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.web import Asked, Reply, Web, serve_web

AUDIENCE = "https://canary.test"
SCRIPT = """
import sys
from rotation.google.identity import identity_token
from rotation.model.errors import RotationError
try:
    for audience in sys.argv[1:]:
        print(identity_token(audience))
except RotationError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def metadata() -> Iterator[Web]:
    with serve_web() as web:
        web.reply = reply
        yield web


def reply(asked: Asked) -> Reply:
    if asked.headers["Metadata-Flavor"] != "Google":
        return Reply(403)
    headers = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
    url = urlsplit(asked.path)
    if url.path.endswith("/identity"):
        (audience,) = parse_qs(url.query)["audience"]
        return Reply(body=token_for(audience), headers=headers | {"Content-Type": "text/html"})
    account = {"email": "rotation@demo.test", "aliases": ["default"], "scopes": ["openid"]}
    return Reply(body=json.dumps(account).encode(), headers=headers)


def token_for(audience: str) -> bytes:
    parts = ({"alg": "none"}, {"aud": audience, "exp": int(time.time()) + 3600})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*texts, b"c2lnbmF0dXJl"])


def tokens(host: str, *audiences: str) -> list[str]:
    kept = {"PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV"}
    environ = {name: value for name, value in os.environ.items() if name in kept}
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, *audiences],
        env=environ | {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return answer.stdout.splitlines()


def audience_of(token: str) -> str:
    claims = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=="))["aud"])


def test_each_audience_has_a_token_of_its_own_and_it_is_kept(metadata: Web) -> None:
    audiences = [AUDIENCE, "https://other.test", AUDIENCE]
    got = tokens(f"127.0.0.1:{metadata.port}", *audiences)
    assert [audience_of(token) for token in got] == audiences
    asked = [request.path for request in metadata.asked if "/identity" in request.path]
    assert len(asked) == 2


def test_a_server_that_errs_is_temporary(metadata: Web) -> None:
    def err(asked: Asked) -> Reply:
        return Reply(404) if "/identity" in asked.path else reply(asked)

    metadata.reply = err
    (outcome,) = tokens(f"127.0.0.1:{metadata.port}", AUDIENCE)
    assert outcome.startswith("TemporaryError no identity token")


def test_without_an_identity_it_says_what_to_do(metadata: Web) -> None:
    metadata.says(status=404)
    (outcome,) = tokens(f"127.0.0.1:{metadata.port}", AUDIENCE)
    assert outcome.startswith("AccessDeniedError no identity")
    assert "service account" in outcome
