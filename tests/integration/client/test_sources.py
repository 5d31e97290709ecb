"""Where credentials are read from: the embedded Secret Manager and files."""

import copy
import pickle
from pathlib import Path

import pytest

from rotation.client import Credentials, FileSource, SecretManagerSource
from rotation.model.errors import (
    BadNameError,
    NotFoundError,
    RotationError,
    TemporaryError,
    VersionUnavailableError,
)
from rotation.model.payload import PayloadError

from .conftest import World


@pytest.mark.parametrize("version", [1, "1", "current", "latest"])
def test_user_and_password_are_of_one_version(world: World, version: int | str) -> None:
    read = world.source(version).read()
    fields = world.versions[1].fields()
    assert (read.username, read.password) == (fields["username"], fields["password"])
    assert (read.get("dbname"), read.get("nothing")) == (world.site.database, None)
    assert (read.secret, read.version) == (world.number_name, 1)
    assert read.held.rotation_id == world.versions[1].rotation_id()


@pytest.mark.parametrize("version", [99, "nobody"])
def test_a_version_that_is_not_there(world: World, version: int | str) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        world.source(version).read()


def test_a_disabled_version(world: World) -> None:
    world.embedded.client.disable_secret_version(name=world.secret.version(1))
    with pytest.raises(VersionUnavailableError):
        world.source().read()


def test_a_service_that_is_away(world: World) -> None:
    source = SecretManagerSource(str(world.secret), endpoint="127.0.0.1:1", timeout=0.5)
    with pytest.raises(TemporaryError):
        source.read()
    source.close()
    source.close()


def test_a_name_that_is_none() -> None:
    with pytest.raises(BadNameError):
        SecretManagerSource("orders")


def test_a_source_reads_again_after_it_was_closed(world: World) -> None:
    source = world.source()
    source.read()
    source.close()
    assert source.read().version == 1


def test_a_file(tmp_path: Path, world: World) -> None:
    path = tmp_path / "credential"
    path.write_bytes(world.versions[1].reveal())
    read = FileSource(path, secret=str(world.secret), version=1).read()
    assert read.password == world.versions[1].fields()["password"]
    assert read.version == 1


@pytest.mark.parametrize(
    "payload",
    [b"", b"hunter2", b"[]", b'{"username": "a"}', b'{"username": "a", "password": 1}', b"\xff",
     b'{"username": "hunter2"'],
)  # fmt: skip
def test_a_file_with_something_else(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "credential"
    path.write_bytes(payload)
    with pytest.raises(PayloadError) as caught:
        FileSource(path).read()
    assert "hunter2" not in str(caught.value)


def test_no_file_a_folder_and_a_long_file(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 70_000)
    for name in ("none", "", "long"):
        with pytest.raises(TemporaryError):
            FileSource(tmp_path / name).read()


def test_errors_stand_alone(world: World) -> None:
    with pytest.raises(RotationError) as caught:
        world.source(99).read()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_credentials_do_not_show_themselves() -> None:
    credentials = Credentials(b'{"username": "orders_a", "password": "hunter2"}', version=7)
    shown = f"{credentials} {credentials!r} {[credentials]} {credentials.__reduce__.__doc__}"
    assert "hunter2" not in shown
    assert "orders_a" in shown
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            leak(credentials)
    with pytest.raises(TypeError):
        vars(credentials)


def test_credentials_are_equal_when_version_and_payload_are() -> None:
    payload = b'{"username": "orders_a", "password": "hunter2"}'
    assert Credentials(payload, version=7) == Credentials(payload, version=7)
    assert Credentials(payload, version=7) != Credentials(payload, version=8)
    assert Credentials(payload) != Credentials(payload.replace(b"2", b"3"))
    assert Credentials(payload) != "hunter2"
