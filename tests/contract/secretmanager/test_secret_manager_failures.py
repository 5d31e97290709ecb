import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core import exceptions
from secretmanager_support import World

from rotation.emulator.secretmanager.quotas import REAL, Limits

PARENT = "projects/demo-project"
NAME = "projects/123456789012/secrets/app"


@pytest.fixture
def secret(client: Any) -> Any:
    return client.create_secret(
        parent=PARENT, secret_id="app", secret={"replication": {"automatic": {}}}
    )


def add(client: Any, data: bytes = b"one") -> str:
    return str(client.add_secret_version(parent=NAME, payload={"data": data}).name)


def label(client: Any, **labels: str) -> Any:
    return client.update_secret(secret={"name": NAME, "labels": labels}, update_mask="labels")


def refused_with(status: int) -> Any:
    return pytest.raises(exceptions.GoogleAPICallError, check=lambda error: error.code == status)


def test_unavailable_does_nothing_and_ends_with_its_count(
    client: Any, secret: Any, world: World
) -> None:
    world.controls.set_failure("unavailable", "AddSecretVersion", count=2)
    for _ in range(2):
        with refused_with(503):
            add(client)
    assert add(client) == f"{NAME}/versions/1"
    assert world.controls.failures() == []


def test_committed_but_unavailable_has_done_the_work(
    client: Any, secret: Any, world: World
) -> None:
    world.controls.set_failure("committed-unavailable", "AddSecretVersion", count=1)
    with refused_with(503):
        add(client)
    assert add(client) == f"{NAME}/versions/2"


def test_failure_may_begin_later(client: Any, secret: Any, world: World) -> None:
    world.controls.set_failure("unavailable", "UpdateSecret", after=1, count=1)
    label(client, a="1")
    with refused_with(503):
        label(client, a="2")
    assert label(client, a="3").labels == {"a": "3"}


def test_exhausted_is_too_many_requests(client: Any, secret: Any, world: World) -> None:
    world.controls.set_failure("exhausted", "UpdateSecret", count=1)
    with pytest.raises(exceptions.TooManyRequests, match="Quota exceeded"):
        label(client, a="1")


def test_denied_permission_denies_the_calls_that_need_it(
    client: Any, secret: Any, world: World
) -> None:
    add(client)
    world.controls.set_failure("denied", permission="secretmanager.versions.access")
    message = (
        f"Permission 'secretmanager.versions.access' denied for resource '{NAME}/versions/1' "
        r"\(or it may not exist\)."
    )
    with pytest.raises(exceptions.Forbidden, match=message):
        client.access_secret_version(name=f"{PARENT}/secrets/app/versions/1")
    assert client.get_secret(name=NAME).name == NAME


def test_denied_permissions_are_not_granted(client: Any, secret: Any, world: World) -> None:
    world.controls.set_failure("denied", permission="secretmanager.versions.access")
    request = {
        "resource": NAME,
        "permissions": ["secretmanager.versions.access", "secretmanager.versions.add"],
    }
    granted = client.test_iam_permissions(request=request).permissions
    assert list(granted) == ["secretmanager.versions.add"]


def test_black_hole_never_answers_and_does_nothing(grpc_client: Any, world: World) -> None:
    client = grpc_client
    client.create_secret(parent=PARENT, secret_id="app", secret={"replication": {"automatic": {}}})
    world.controls.set_failure("black-hole", "AddSecretVersion", count=1)
    with pytest.raises(exceptions.DeadlineExceeded):
        client.add_secret_version(parent=NAME, payload={"data": b"x"}, timeout=0.1)
    assert add(client) == f"{NAME}/versions/1"


def test_committed_black_hole_never_answers_but_has_done_the_work(
    grpc_client: Any, world: World
) -> None:
    client = grpc_client
    client.create_secret(parent=PARENT, secret_id="app", secret={"replication": {"automatic": {}}})
    world.controls.set_failure("committed-black-hole", "AddSecretVersion", count=1)
    with pytest.raises(exceptions.DeadlineExceeded):
        client.add_secret_version(parent=NAME, payload={"data": b"x"}, timeout=0.1)
    assert add(client) == f"{NAME}/versions/2"


def test_clearing_failures_answers_what_is_held_back(
    client: Any, secret: Any, world: World
) -> None:
    with ThreadPoolExecutor(1) as pool:
        world.controls.set_failure("black-hole", "UpdateSecret")
        held = pool.submit(label, client, a="1")
        while not world.controls.calls().get("UpdateSecret"):
            pass
        world.controls.clear_failures()
        with refused_with(503):
            held.result()


def test_latency_delays_the_answer_of_one_method(client: Any, secret: Any, world: World) -> None:
    world.controls.set_failure("latency", "UpdateSecret", seconds=0.5)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(label, client, a="1")
        while not world.controls.calls().get("UpdateSecret"):
            pass
        assert not client.get_secret(name=NAME).labels
        assert slow.result().labels == {"a": "1"}


def test_stale_read_serves_labels_and_etag_of_one_write_ago(
    client: Any, secret: Any, world: World
) -> None:
    before = label(client, a="1")
    label(client, a="2")
    add(client)
    world.controls.set_failure("stale", "GetSecret", count=1)
    stale = client.get_secret(name=NAME)
    assert (stale.labels, stale.etag) == (before.labels, before.etag)
    assert client.get_secret(name=NAME).labels == {"a": "2"}


def test_stale_etag_is_refused_whatever_reads_serve(client: Any, secret: Any, world: World) -> None:
    label(client, a="1")
    world.controls.set_failure("stale")
    stale = client.get_secret(name=NAME)
    with refused_with(400):
        client.update_secret(secret={"name": NAME, "etag": stale.etag}, update_mask="labels")


def test_stale_latest_and_aliases_lag_but_numbers_never_do(
    client: Any, secret: Any, world: World
) -> None:
    add(client, b"one")
    client.update_secret(
        secret={"name": NAME, "version_aliases": {"current": 1}}, update_mask="versionAliases"
    )
    world.controls.set_failure("stale", "AccessSecretVersion", writes=1, count=2)
    add(client, b"two")
    assert _payload(client, "2") == b"two"
    assert _payload(client, "latest") == b"one"
    client.update_secret(
        secret={"name": NAME, "version_aliases": {"current": 2}}, update_mask="versionAliases"
    )
    assert _payload(client, "current") == b"one"


def _payload(client: Any, version: str) -> bytes:
    answer = client.access_secret_version(name=f"{NAME}/versions/{version}")
    return bytes(answer.payload.data)


def test_stale_lists_miss_the_newest(client: Any, secret: Any, world: World) -> None:
    add(client)
    world.controls.set_failure("stale")
    assert [s.name for s in client.list_secrets(parent=PARENT)] == []
    assert [v.name for v in client.list_secret_versions(parent=NAME)] == []
    world.controls.clear_failures()
    assert [v.name for v in client.list_secret_versions(parent=NAME)] == [f"{NAME}/versions/1"]


def test_reads_may_lag_by_seconds(client: Any, secret: Any, world: World) -> None:
    label(client, a="1")
    world.advance(60)
    label(client, a="2")
    world.controls.set_failure("stale", seconds=30)
    assert client.get_secret(name=NAME).labels == {"a": "1"}
    world.advance(60)
    assert client.get_secret(name=NAME).labels == {"a": "2"}


def test_deleted_secrets_still_show_in_stale_reads(client: Any, secret: Any, world: World) -> None:
    client.delete_secret(name=NAME)
    world.controls.set_failure("stale", count=1)
    assert client.get_secret(name=NAME).name == NAME
    with refused_with(404):
        client.get_secret(name=NAME)


def test_real_quotas_refuse_the_third_write_of_a_second(
    client: Any, secret: Any, world: World
) -> None:
    world.controls.set_quotas(REAL)
    label(client, a="1")
    add(client)
    with pytest.raises(exceptions.TooManyRequests):
        label(client, a="2")
    client.disable_secret_version(name=f"{NAME}/versions/1")
    world.advance(1)
    assert label(client, a="2").labels == {"a": "2"}


def test_reads_and_accesses_have_quotas_of_their_own(
    client: Any, secret: Any, world: World
) -> None:
    add(client)
    world.controls.set_quotas(Limits(reads_per_minute=1, accesses_per_minute=1))
    for _ in range(2):
        label(client, a="1")
    client.get_secret(name=NAME)
    with refused_with(429):
        client.list_secret_versions(parent=NAME)
    client.access_secret_version(name=f"{NAME}/versions/1")
    with refused_with(429):
        # The library itself would send it again for a minute.
        client.access_secret_version(name=f"{NAME}/versions/1", retry=None)
    world.advance(60)
    assert client.get_secret(name=NAME).labels == {"a": "1"}


def test_calls_are_counted_by_method_and_refused_ones_too(
    client: Any, secret: Any, world: World
) -> None:
    world.controls.reset_calls()
    client.get_secret(name=NAME)
    add(client)
    with refused_with(404):
        client.get_secret(name=f"{NAME}-missing")
    assert world.controls.calls() == {"GetSecret": 2, "AddSecretVersion": 1}
    assert world.controls.reset_calls() == {"GetSecret": 2, "AddSecretVersion": 1}
    assert world.controls.calls() == {}


def test_one_of_several_failures_can_be_cleared(client: Any, secret: Any, world: World) -> None:
    first = world.controls.set_failure("unavailable", "UpdateSecret")
    world.controls.set_failure("exhausted", "AddSecretVersion")
    world.controls.clear_failures(first)
    assert label(client, a="1").labels == {"a": "1"}
    assert [failure["mode"] for failure in world.controls.failures()] == ["exhausted"]


def test_clock_can_be_moved_over_the_control_api(client: Any, secret: Any, world: World) -> None:
    before = world.clock.now()
    woken = threading.Event()
    world.store.watch(woken.set)
    world.controls.advance(3600)
    assert (world.clock.now() - before).total_seconds() >= 3600
    assert woken.is_set()


def test_mistakes_in_control_requests_are_named(world: World) -> None:
    with pytest.raises(ValueError, match="unknown method 'GetSecrets'"):
        world.controls.set_failure("unavailable", "GetSecrets")
    with pytest.raises(ValueError, match="count"):
        world.controls.set_failure("unavailable", count=-1)


def test_racing_read_modify_writes_lose_no_update(client: Any, secret: Any, world: World) -> None:
    def count_up(_worker: int) -> None:
        counted = 0
        while counted < 5:
            found = client.get_secret(name=NAME)
            count = str(int(found.labels.get("count", "0")) + 1)
            sent = {"name": NAME, "labels": {"count": count}, "etag": found.etag}
            with contextlib.suppress(exceptions.BadRequest):
                client.update_secret(secret=sent, update_mask="labels")
                counted += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(8)))
    assert client.get_secret(name=NAME).labels["count"] == "40"


def test_racing_additions_get_numbers_of_their_own(client: Any, secret: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: add(client), range(40)))
    assert len(set(names)) == 40
