from typing import Any

import msgspec
import pytest

from rotation.issuers.postgresql import ISSUER, PostgreSQLSettings
from rotation.kit.net.node import Node
from rotation.model.errors import PolicyError

POLICY: dict[str, Any] = {
    "host": "10.0.0.5",
    "database": "orders",
    "slots": ["orders_a", "orders_b"],
    "owner": "orders_owner",
    "admin": "projects/acme/secrets/orders-rotator",
}


def decode(**changes: Any) -> PostgreSQLSettings:
    return msgspec.convert(POLICY | changes, ISSUER.spec.settings, strict=True)


def test_a_policy_decodes_with_safe_defaults() -> None:
    settings = decode(replicas=["10.0.0.6", "db2:6000", "[::1]:7", "fe80::1"])
    assert settings.tls == "verify-full"
    assert settings.primary == Node("10.0.0.5", 5432)
    assert settings.standbys == (
        Node("10.0.0.6", 5432), Node("db2", 6000), Node("::1", 7), Node("fe80::1", 5432),
    )  # fmt: skip
    assert settings.sibling("orders_a") == "orders_b"
    assert settings.admin_version == "projects/acme/secrets/orders-rotator/versions/latest"


def test_a_pinned_admin_version_is_taken_as_it_is() -> None:
    pinned = "projects/acme/secrets/orders-rotator/versions/7"
    assert decode(admin=pinned).admin_version == pinned


@pytest.mark.parametrize(
    "changes",
    [
        {"slots": ["a", "a"]},
        {"slots": ["a", "orders_owner"]},
        {"slots": ["a", "pg_monitor"]},
        {"slots": ["a", "cloudsqladmin"]},
        {"owner": "pg_execute_server_program"},
        {"owner": "cloudsqlsuperuser"},
        {"owner": "postgres"},
        {"probes": ["SELECT 1; SELECT 2"]},
        {"slots": ["a", "x" * 64]},
        {"owner": ""},
        {"admin": "iam"},
        {"admin_user": "sa@project.iam"},
        {"admin": "iam", "admin_user": "sa@project.iam", "tls": "disable"},
        {"tls": "verify-ca"},
        {"replicas": ["a b"]},
        {"replicas": ["postgresql://app:hunter2@db2:5432"]},
    ],
)
def test_a_contradiction_is_a_policy_error(changes: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        decode(**changes)


@pytest.mark.parametrize("changes", [{"slots": ["a"]}, {"tls": "prefer"}, {"port": "5432"}])
def test_a_wrong_shape_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(**changes)


def test_the_spec_names_rights_and_permissions() -> None:
    assert ISSUER.spec.capabilities.overlap
    assert any("ADMIN TRUE, INHERIT FALSE, SET FALSE" in right for right in ISSUER.spec.rights)
    assert "secretmanager.versions.access" in {
        permission.name for permission in ISSUER.spec.permissions
    }
