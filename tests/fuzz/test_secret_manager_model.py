"""Any sequence of calls, each over gRPC or REST: both surfaces always show what a dictionary would.

The model knows a few lines of Secret Manager; the embedded one is the thing under test.  Each step
says beforehand how it must be answered.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import google_crc32c
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rotation.emulator.background import Background, serve_in_background
from rotation.emulator.secretmanager.quotas import Quotas
from rotation.emulator.secretmanager.schedule import Schedule
from rotation.emulator.secretmanager.server import SecretManagerServer
from rotation.emulator.secretmanager.store import Store

from .profiles import profile
from .states import label_values
from .wire import Answer, Grpc, Rest

PARENT = "projects/123456789012"
IDS = st.sampled_from(["app", "App_2"])
SURFACES = st.sampled_from(["grpc", "rest"])
PARENTS = st.sampled_from([PARENT, "projects/demo-project"])
STALE = '"10000000000001"'

labels = st.dictionaries(
    st.sampled_from(["team", "env", "rotation_phase"]), label_values, max_size=3
)
annotations = st.dictionaries(
    st.sampled_from(["rotation.policy", "a"]), st.text('aé\n"', max_size=5), max_size=2
)
aliases = st.dictionaries(st.sampled_from(["current", "previous"]), st.integers(1, 3), max_size=2)
etags = st.sampled_from(["none", "current", "stale"])
payloads = st.binary(min_size=0, max_size=8)


@dataclass
class ModelVersion:
    payload: bytes
    state: str = "ENABLED"


@dataclass
class ModelSecret:
    labels: dict[str, str]
    annotations: dict[str, str]
    aliases: dict[str, int] = field(default_factory=dict)
    versions: list[ModelVersion] = field(default_factory=list)

    def version(self, named: str) -> ModelVersion | None:
        number = self.aliases.get(named, len(self.versions) if named == "latest" else 0)
        number = int(named) if named.isdigit() else number
        return self.versions[number - 1] if 0 < number <= len(self.versions) else None


class SecretManagerModel(RuleBasedStateMachine):
    """Calls in any order on a fresh store."""

    background: ClassVar[Background[SecretManagerServer]]
    rest: ClassVar[Rest]
    grpc: ClassVar[Grpc]

    @initialize()
    def move_in(self) -> None:
        def fresh(server: SecretManagerServer) -> None:
            server.dispatcher.store = Store()
            server.dispatcher.schedule = Schedule(server.dispatcher.store)
            server.dispatcher.quotas = Quotas()

        self.background.call(fresh)
        self.secrets: dict[str, ModelSecret] = {}
        self.known_etags: set[str] = set()
        # Most sequences would not get past an empty project.
        self.create("app", PARENT, "grpc", {"team": "db"}, {})
        for payload in (b"one", b"two"):
            self.add_version("app", "rest", payload, "right")

    # What every step shares

    def call(self, surface: str, rpc: str, **request: Any) -> Answer:
        return (self.grpc if surface == "grpc" else self.rest).call(rpc, request)

    def etag(self, kind: str, resource: str, rpc: str) -> dict[str, str]:
        if kind == "stale":
            return {"etag": STALE}
        if kind == "none":
            return {}
        status, found = self.grpc.call(rpc, {"name": resource})
        return {"etag": found["etag"]} if status == "OK" else {}

    def expect(self, answer: Answer, *allowed: str) -> Any:
        status, body = answer
        assert status in allowed, (status, body, allowed)
        if status == "OK":
            self.note_etag(body)
        return body

    def note_etag(self, body: Any) -> None:
        if "etag" in body:
            assert body["etag"] not in self.known_etags, "an ETag came back"
            self.known_etags.add(body["etag"])

    # Steps

    @rule(id_=IDS, parent=PARENTS, surface=SURFACES, labels=labels, annotations=annotations)
    def create(
        self,
        id_: str,
        parent: str,
        surface: str,
        labels: dict[str, str],
        annotations: dict[str, str],
    ) -> None:
        body = {"replication": {"automatic": {}}, "labels": labels, "annotations": annotations}
        answer = self.call(surface, "CreateSecret", parent=parent, secretId=id_, secret=body)
        if id_ in self.secrets:
            self.expect(answer, "ALREADY_EXISTS")
            return
        created = self.expect(answer, "OK")
        assert created["name"] == f"{PARENT}/secrets/{id_}"
        self.secrets[id_] = ModelSecret(labels, annotations)

    @rule(
        id_=IDS,
        parent=PARENTS,
        surface=SURFACES,
        etag=etags,
        paths=st.sets(st.sampled_from(["labels", "annotations", "versionAliases"])),
        labels=labels,
        annotations=annotations,
        aliases=aliases,
    )
    def update(  # noqa: PLR0917
        self,
        id_: str,
        parent: str,
        surface: str,
        etag: str,
        paths: set[str],
        labels: dict[str, str],
        annotations: dict[str, str],
        aliases: dict[str, int],
    ) -> None:
        name = f"{parent}/secrets/{id_}"
        sent = {
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "versionAliases": {key: str(number) for key, number in aliases.items()},
            **self.etag(etag, name, "GetSecret"),
        }
        answer = self.call(surface, "UpdateSecret", secret=sent, updateMask=",".join(sorted(paths)))
        found = self.secrets.get(id_)
        if found is None:
            self.expect(answer, "NOT_FOUND")
        elif etag == "stale":
            self.expect(answer, "FAILED_PRECONDITION")
        elif "versionAliases" in paths and any(n > len(found.versions) for n in aliases.values()):
            self.expect(answer, "INVALID_ARGUMENT")
        else:
            self.expect(answer, "OK")
            found.labels = labels if "labels" in paths else found.labels
            found.annotations = annotations if "annotations" in paths else found.annotations
            found.aliases = aliases if "versionAliases" in paths else found.aliases

    @rule(
        id_=IDS,
        surface=SURFACES,
        payload=payloads,
        checksum=st.sampled_from(["none", "right", "wrong"]),
    )
    def add_version(self, id_: str, surface: str, payload: bytes, checksum: str) -> None:
        sent: dict[str, Any] = {"data": base64.b64encode(payload).decode()}
        if checksum != "none":
            sent["dataCrc32c"] = str(google_crc32c.value(payload) ^ (checksum == "wrong"))
        answer = self.call(
            surface, "AddSecretVersion", parent=f"{PARENT}/secrets/{id_}", payload=sent
        )
        found = self.secrets.get(id_)
        if found is None:
            self.expect(answer, "NOT_FOUND")
        elif not payload or checksum == "wrong":
            self.expect(answer, "INVALID_ARGUMENT")
        else:
            added = self.expect(answer, "OK")
            found.versions.append(ModelVersion(payload))
            assert added["name"] == f"{PARENT}/secrets/{id_}/versions/{len(found.versions)}"

    @precondition(lambda self: self.secrets)
    @rule(
        id_=IDS,
        surface=SURFACES,
        named=st.sampled_from(["1", "2", "3", "0", "latest", "current", "previous"]),
    )
    def access(self, id_: str, surface: str, named: str) -> None:
        name = f"{PARENT}/secrets/{id_}/versions/{named}"
        answer = self.call(surface, "AccessSecretVersion", name=name)
        found = self.secrets.get(id_)
        version = found.version(named) if found else None
        if version is None:
            self.expect(answer, "NOT_FOUND")
        elif version.state != "ENABLED":
            self.expect(answer, "FAILED_PRECONDITION")
        else:
            body = self.expect(answer, "OK")
            assert base64.b64decode(body["payload"]["data"]) == version.payload
            assert int(body["payload"]["dataCrc32c"]) == google_crc32c.value(version.payload)

    @precondition(lambda self: any(secret.versions for secret in self.secrets.values()))
    @rule(
        id_=st.just("app") | IDS,
        surface=SURFACES,
        verb=st.sampled_from(["Enable", "Disable", "Destroy"]),
        named=st.sampled_from(["1", "1", "2", "2", "latest", "7"]),
        etag=etags,
    )
    def set_state(self, id_: str, surface: str, verb: str, named: str, etag: str) -> None:
        name = f"{PARENT}/secrets/{id_}/versions/{named}"
        sent = self.etag(etag, name, "GetSecretVersion") if named != "latest" else {}
        answer = self.call(surface, f"{verb}SecretVersion", name=name, **sent)
        found = self.secrets.get(id_)
        version = found.version(named) if found else None
        if named == "latest":
            self.expect(answer, "INVALID_ARGUMENT", "NOT_FOUND")
        elif version is None:
            self.expect(answer, "NOT_FOUND")
        elif etag == "stale" or version.state == "DESTROYED":
            self.expect(answer, "FAILED_PRECONDITION")
        else:
            version.state = {"Enable": "ENABLED", "Disable": "DISABLED"}.get(verb, "DESTROYED")
            assert self.expect(answer, "OK")["state"] == version.state

    @precondition(lambda self: len(self.secrets) > 1 or "app" not in self.secrets)
    @rule(id_=IDS, surface=SURFACES, etag=etags)
    def delete(self, id_: str, surface: str, etag: str) -> None:
        name = f"{PARENT}/secrets/{id_}"
        answer = self.call(surface, "DeleteSecret", name=name, **self.etag(etag, name, "GetSecret"))
        if id_ not in self.secrets:
            self.expect(answer, "NOT_FOUND")
        elif etag == "stale":
            self.expect(answer, "FAILED_PRECONDITION")
        else:
            assert self.expect(answer, "OK") == {}
            del self.secrets[id_]

    # What holds between any two steps

    def both(self, rpc: str, **request: Any) -> Any:
        """Ask both surfaces; they agree to the letter."""
        over_grpc, over_rest = self.grpc.call(rpc, request), self.rest.call(rpc, request)
        assert over_grpc == over_rest
        return over_grpc

    @invariant()
    def both_surfaces_show_the_model(self) -> None:
        if not hasattr(self, "secrets"):
            return
        status, listed = self.both("ListSecrets", parent=PARENT)
        assert status == "OK"
        shown = listed.get("secrets", [])
        assert {one["name"] for one in shown} == {f"{PARENT}/secrets/{id_}" for id_ in self.secrets}
        assert listed.get("totalSize", 0) == len(self.secrets)
        for one in shown:
            id_ = one["name"].rpartition("/")[2]
            expected = self.secrets[id_]
            assert self.both("GetSecret", name=one["name"]) == ("OK", one)
            assert one.get("labels", {}) == expected.labels
            assert one.get("annotations", {}) == expected.annotations
            numbers = {key: int(value) for key, value in one.get("versionAliases", {}).items()}
            assert numbers == expected.aliases
            _, versions = self.both("ListSecretVersions", parent=one["name"])
            states = [version["state"] for version in versions.get("versions", [])]
            assert states == [version.state for version in reversed(expected.versions)]
            for number, version in enumerate(expected.versions, start=1):
                self.check_access(f"{one['name']}/versions/{number}", version)

    def check_access(self, name: str, version: ModelVersion) -> None:
        status, body = self.both("AccessSecretVersion", name=name)
        if version.state == "ENABLED":
            assert base64.b64decode(body["payload"]["data"]) == version.payload
        else:
            assert (status, version.state in body) == ("FAILED_PRECONDITION", True)


@pytest.fixture(scope="module")
def surfaces() -> Iterator[None]:
    with serve_in_background(lambda: SecretManagerServer(Store())) as background:
        SecretManagerModel.background = background
        SecretManagerModel.rest = Rest(background.served.rest_url)
        SecretManagerModel.grpc = Grpc(background.served.grpc_address)
        yield
        SecretManagerModel.rest.close()
        SecretManagerModel.grpc.close()


@pytest.mark.usefixtures("surfaces")
def test_both_surfaces_show_what_a_dictionary_would() -> None:
    run_state_machine_as_test(SecretManagerModel, settings=profile(20, stateful_step_count=25))
