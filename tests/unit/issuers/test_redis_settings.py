import pytest

from rotation.issuers.redis.settings import Node, RedisSettings
from rotation.model.errors import PolicyError

GOOD = {
    "nodes": ("10.0.0.5", "cache.internal:6380", "[::1]:7000"),
    "user": "app",
    "admin": "projects/acme/secrets/rotator",
}


def test_a_node_has_a_port() -> None:
    assert RedisSettings(**GOOD).servers == (
        Node("10.0.0.5", 6379),
        Node("cache.internal", 6380),
        Node("::1", 7000),
    )


def test_tls_is_verified_unless_something_weaker_is_written_out() -> None:
    assert RedisSettings(**GOOD).tls == "verify-full"


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": ()},
        {"nodes": ("a", "a:6379")},
        {"nodes": ("redis://u:hunter2@host",)},
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
