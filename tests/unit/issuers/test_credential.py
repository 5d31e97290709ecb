from dataclasses import replace
from typing import Any

import pytest

from rotation.issuers.postgresql.credential import compose, login_of
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.kit.credentials.credential import PayloadShape
from rotation.model.payload import Payload, PayloadError

SETTINGS = PostgreSQLSettings(
    host="10.0.0.5", database="orders", slots=("a", "b"), owner="o", admin="projects/p/secrets/r"
)
OLD = "old-password-of-slot-a"


def current(**more: Any) -> Payload:
    return Payload.of({"username": "a", "password": OLD} | more)


def test_the_first_candidate_holds_everything_a_consumer_needs() -> None:
    fields = compose(SETTINGS, "a", "r1", None).fields()
    assert list(fields) == [
        "engine", "host", "port", "dbname", "username", "password", "rotation_id",
    ]  # fmt: skip
    assert fields["rotation_id"] == "r1"


def test_where_to_connect_and_foreign_keys_are_kept_as_consumers_have_them() -> None:
    old = current(host="db.internal", port=6432, pool={"size": 5}, rotation_id="r0")
    fields = compose(SETTINGS, "b", "r1", old).fields()
    assert (fields["host"], fields["port"], fields["pool"]) == ("db.internal", 6432, {"size": 5})
    assert (fields["username"], fields["rotation_id"]) == ("b", "r1")
    assert fields["password"] != OLD


def test_a_url_is_rewritten_with_the_login() -> None:
    old = current(url=f"postgresql://a:{OLD}@db.internal:5432/orders?sslmode=verify-full")
    fields = compose(SETTINGS, "b", "r1", old).fields()
    login = f"b:{fields['password']}"
    assert fields["url"] == f"postgresql://{login}@db.internal:5432/orders?sslmode=verify-full"


@pytest.mark.parametrize(
    "value",
    [
        f"host=db password={OLD}",
        [OLD],
        {"deep": {"er": OLD}},
        f"postgresql://x:{OLD}@db/orders",
        f"postgresql://a:{OLD}@[db",
    ],
)
def test_a_repeated_password_stops_with_the_name_of_the_key_only(value: object) -> None:
    with pytest.raises(PayloadError, match="'dsn'") as caught:
        compose(SETTINGS, "b", "r1", current(dsn=value))
    assert OLD not in str(caught.value)


@pytest.mark.parametrize("fields", [{}, {"username": "a"}, {"username": "a", "password": 7}])
def test_a_payload_without_login_is_named_so(fields: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match="lacks username or password"):
        login_of(Payload.of(fields), SETTINGS)


def test_a_user_that_is_no_slot_is_refused() -> None:
    with pytest.raises(PayloadError, match="none of the slots a, b"):
        login_of(Payload.of({"username": "root", "password": "x"}), SETTINGS)


@pytest.mark.parametrize("key", ["password", "api_key"])
def test_nothing_of_a_payload_is_quoted_whichever_key_the_policy_calls_the_users(key: str) -> None:
    fields = {"username": "a", "api_key": OLD, "password": OLD}
    named = replace(SETTINGS, payload=PayloadShape(username=key, password="username"))
    with pytest.raises(PayloadError, match="none of the slots a, b") as caught:
        login_of(Payload.of(fields), named)
    assert OLD not in str(caught.value)
