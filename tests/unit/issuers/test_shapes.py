from typing import Any

import pytest

from rotation.issuers.postgresql.credential import compose, login_of
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.issuers.postgresql.shapes import find
from rotation.kit.credentials.credential import PayloadShape
from rotation.kit.credentials.shapes import replace_login
from rotation.model.errors import PolicyError
from rotation.model.payload import Payload, PayloadError

OLD = "p@ss:w/rd'1"
ID = "20261125t150000-abc-1"
SHAPES = {
    "url": b"postgresql://app:p%40ss%3Aw%2Frd%271@db:6432/orders?sslmode=require\n",
    "jdbc": b"jdbc:postgresql://db:6432/orders?user=app&password=p%40ss%3Aw%2Frd%271&ssl=true",
    "env": b"# of the shop\nexport DB_HOST=db\nDB_PORT=6432\nDB_NAME=orders\nDB_USER=app\n"
    b'DB_PASSWORD="p@ss:w/rd\'1"\nMODE=live\n',
    "env-url": b"DATABASE_URL='postgresql://app:p%40ss%3Aw%2Frd%271@db:6432/orders'\nMODE=live\n",
    "pgpass": b"# mine\ndb:6432:orders:app:p@ss\\:w/rd'1\n",
    "dsn": b"host=db port=6432 dbname=orders user=app password='p@ss:w/rd\\'1' sslmode=require",
}


def settings(**payload: Any) -> PostgreSQLSettings:
    return PostgreSQLSettings(
        host="10.0.0.5",
        database="orders",
        slots=("app", "app_b"),
        owner="o",
        admin="projects/p/secrets/r",
        payload=PayloadShape(**payload),
    )


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_is_read(data: bytes) -> None:
    found = find(data)
    assert found is not None
    assert (found.user, found.password.reveal()) == ("app", OLD)
    assert (found.host, found.port, found.database) == ("db", 6432, "orders")
    assert OLD not in repr(found)


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES.keys())
def test_the_next_version_differs_in_user_and_password_only(data: bytes) -> None:
    shape = find(data)
    assert shape is not None
    payload = compose(settings(shape=shape.shape), "app_b", ID, Payload(data))
    user, password = login_of(payload, settings(shape=shape.shape))
    assert user == "app_b"
    assert payload.rotation_id() == ID
    assert OLD.encode() not in payload.reveal()
    assert replace_login(payload.reveal(), "app", OLD, find) is not None
    kept = payload.reveal().replace(password.reveal().encode(), b"").replace(b"app_b", b"app")
    for word in (b"db", b"6432", b"orders"):
        assert word in kept
    assert (b"MODE=live" in data) == (b"MODE=live" in kept)


@pytest.mark.parametrize("data", SHAPES.values(), ids=SHAPES.keys())
def test_a_secret_changes_its_shape_to_json_with_a_rotation(data: bytes) -> None:
    payload = compose(settings(), "app_b", ID, Payload(data))
    fields = payload.fields()
    assert (fields["username"], fields["host"], fields["port"]) == ("app_b", "db", 6432)
    assert login_of(Payload(data), settings())[0] == "app"


@pytest.mark.parametrize("shape", ["url", "env", "pgpass", "dsn"])
def test_a_first_version_has_the_shape_that_is_asked_for(shape: str) -> None:
    payload = compose(settings(shape=shape), "app", ID, None)
    assert login_of(payload, settings(shape=shape))[0] == "app"
    assert payload.rotation_id() == ID


def test_a_password_alone_is_read_as_that_of_the_slot_it_is_said_to_be() -> None:
    assert login_of(Payload(b"hunter2\n"), settings(bare_user="app"))[0] == "app"
    with pytest.raises(PayloadError):
        login_of(Payload(b"hunter2\n"), settings())
    payload = compose(settings(bare_user="app"), "app_b", ID, Payload(b"hunter2"))
    assert payload.fields()["username"] == "app_b"


@pytest.mark.parametrize(
    "text",
    [
        "A_USER=x\nA_PASSWORD=y\nB_USER=z\nB_PASSWORD=w\n",
        "postgresql://app@db/orders",
        "db:5432:orders:app:one\ndb:5432:orders:app:two\n",
        "host=db user=app",
        "hello",
        "",
    ],
)
def test_what_has_not_exactly_one_login_is_not_understood(text: str) -> None:
    assert find(text.encode()) is None


def test_keys_of_json_may_have_other_names() -> None:
    chosen = settings(username="DB_USER", password="DB_PASS")
    old = Payload.of({"DB_USER": "app", "DB_PASS": OLD, "x": 1})
    fields = compose(chosen, "app_b", ID, old).fields()
    assert (fields["DB_USER"], fields["x"]) == ("app_b", 1)
    assert "username" not in fields
    assert "password" not in fields


@pytest.mark.parametrize(
    "payload",
    [
        {"username": "x", "password": "x"},
        {"shape": "url", "username": "x"},
        {"bare_user": "stranger"},
        {"username": ""},
    ],
)
def test_a_shape_that_contradicts_itself_is_refused(payload: dict[str, str]) -> None:
    with pytest.raises(PolicyError):
        settings(**payload)
