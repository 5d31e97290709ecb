import subprocess
import sys

import pytest

from rotation.issuers.redis.settings import RedisSettings
from rotation.kit.net.node import Node
from rotation.model.errors import PolicyError

GOOD = {
    "nodes": ("10.0.0.5", "cache.internal:6380", "[::1]:7000", "fe80::1"),
    "user": "app",
    "admin": "projects/acme/secrets/rotator",
}


def test_without_its_library_it_says_what_it_is_and_what_to_install() -> None:
    program = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "redis":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
from rotation.issuers.redis import ISSUER
from rotation.issuers.redis.settings import RedisSettings
from rotation.model.errors import MissingLibraryError
settings = RedisSettings(nodes=("a",), user="app", admin="projects/a/secrets/b")
issuer = ISSUER(settings, None)
issuer.close()
try:
    issuer.connect()
except MissingLibraryError as error:
    print(issuer.spec.name, issuer.location(), error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.startswith("redis a:6379/app the issuer redis needs the library redis")
    assert "pip install 'rotation[redis]'" in ran.stdout


def test_a_node_has_a_port() -> None:
    assert RedisSettings(**GOOD).servers == (
        Node("10.0.0.5", 6379),
        Node("cache.internal", 6380),
        Node("::1", 7000),
        Node("fe80::1", 6379),
    )


def test_tls_is_verified_unless_something_weaker_is_written_out() -> None:
    assert RedisSettings(**GOOD).tls == "verify-full"


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": ()},
        {"nodes": ("a", "a:6379")},
        {"nodes": ("redis://u:hunter2@host",)},
        {"nodes": ("host\0",)},
        {"nodes": ("host:0",)},
        {"nodes": ("host:65536",)},
        {"user": "default"},
        {"user": "rotation:app"},
        {"user": "two words"},
        {"user": ""},
        {"admin": "hunter2"},
        {"timeout": 0},
        {"tls": "verify-ca"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_without_being_quoted(change: dict[str, object]) -> None:
    with pytest.raises(PolicyError) as refused:
        RedisSettings(**(GOOD | change))
    assert "hunter2" not in str(refused.value)
