from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from rotation.gates import consumers, http, prometheus, sessions
from rotation.model.target import target_type
from rotation.policies.policy import Kinds
from rotation.policies.schema import policy_schema, targets_schema
from rotation.policies.typed import Fault, Invalid, read_record
from rotation.ports.gate import Gate
from tests.support.stack.targets import divided

URL = "https://canary.test/healthz"
GOOGLE = "https://monitoring.googleapis.com/v1/projects/acme/location/global/prometheus"
HEADER = {"name": "X-Api-Key", "secret": "projects/acme/secrets/key"}
BODY = {"/a": None, "/b": 1.5}
GATES: Mapping[str, type[Gate]] = {
    "http": http.GATE,
    "prometheus": prometheus.GATE,
    "consumers": consumers.GATE,
    "sessions": sessions.GATE,
}
BASE: Mapping[str, dict[str, Any]] = {
    "http": {"url": URL},
    "prometheus": {"url": "https://prom.test", "query": "up", "max": 1},
    "consumers": {"urls": [URL]},
    "sessions": {},
}


def read(kind: str, **changes: Any) -> tuple[Any, list[Fault]]:
    faults: list[Fault] = []
    document = {key: value for key, value in (BASE[kind] | changes).items() if value is not ...}
    return read_record(GATES[kind].spec.settings, document, "gate", faults), faults


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        *[(kind, {}) for kind in BASE],
        ("http", {"body": {"/status": "ok", "/n": 3, "/x/0": None, "/f": 0.5, "": True}}),
        ("http", {"expect": [200, 204], "probes": 20, "max_error_rate": 0.05}),
        ("http", {"url": "http://10.0.0.7:8080/healthz?full=1", "unreachable": "fail"}),
        ("http", {"identity": True, "header": HEADER, "timeout": "10s"}),
        ("http", {"url": "http://[::1]:8080/", "header": HEADER}),
        ("prometheus", {"url": GOOGLE, "access_token": True}),
        ("prometheus", {"url": f"{GOOGLE}/api/v1/query", "access_token": True}),
        ("prometheus", {"control": "up", "fresh_for": "1m", "min": 0, "max": 0.5}),
        ("consumers", {"share": 0.5, "secret": "projects/123/secrets/orders"}),
        ("sessions", {"arrived": 0, "left": True}),
    ],
)
def test_a_policy_can_say(kind: str, changes: dict[str, Any]) -> None:
    settings, faults = read(kind, **changes)
    assert faults == []
    assert settings is not Invalid.VALUE


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("http", {"url": ...}, "url"),
        ("http", {"expect": []}, "expect"),
        ("http", {"expect": [99]}, "expect"),
        ("http", {"probes": 0}, "probes"),
        ("http", {"probes": 101}, "probes"),
        ("http", {"max_error_rate": 1.0}, "max_error_rate"),
        ("http", {"max_error_rate": -0.1}, "max_error_rate"),
        ("http", {"body": {"status": "ok"}}, "JSON Pointer"),
        ("http", {"body": {"/a~2": "ok"}}, "JSON Pointer"),
        ("http", {"body": {"/a": {"b": 1}}}, "body"),
        ("http", {"body": {f"/{n}": n for n in range(21)}}, "body"),
        ("http", {"unreachable": "ignore"}, "unreachable"),
        ("http", {"timeout": "11s"}, "timeout"),
        ("http", {"timeout": "0s"}, "timeout"),
        ("http", {"tls_root_cert": "/ca\0"}, "tls_root_cert"),
        ("http", {"header": HEADER | {"name": "Host"}}, "header.name"),
        ("http", {"header": HEADER | {"name": "Metadata-Flavor"}}, "header.name"),
        ("http", {"header": HEADER | {"name": "X: y\r\nZ"}}, "header.name"),
        ("http", {"header": HEADER | {"secret": "hunter2"}}, "header.secret"),
        ("http", {"header": HEADER | {"name": "authorization"}, "identity": True}, "identity"),
        ("http", {"identity": URL}, "identity"),
        ("http", {"urls": [URL]}, "did you mean 'url'"),
        ("prometheus", {"query": " "}, "query"),
        ("prometheus", {"query": "x" * 5000}, "query"),
        ("prometheus", {"max": None}, "max or min"),
        ("prometheus", {"min": 2}, "min"),
        ("prometheus", {"max": float("nan")}, "number"),
        ("prometheus", {"url": "https://prom.test/?query=up"}, "query"),
        ("prometheus", {"url": GOOGLE}, "access_token: true"),
        ("prometheus", {"access_token": True}, "googleapis.com"),
        ("prometheus", {"url": "https://x-googleapis.com", "access_token": True}, "googleapis"),
        ("prometheus", {"url": GOOGLE, "access_token": True, "identity": True}, "identity"),
        ("prometheus", {"url": "https://x.googleapis.com", "access_token": True}, "monitoring"),
        (
            "prometheus",
            {"url": "https://monitoring.googleapis.com:8443", "access_token": True},
            "monitoring.googleapis.com",
        ),
        ("prometheus", {"url": "http://127.0.0.1:9090", "access_token": True}, "monitoring"),
        (
            "prometheus",
            {"url": GOOGLE, "access_token": True, "tls_root_cert": "/x.pem"},
            "tls_root",
        ),
        ("prometheus", {"url": GOOGLE.replace("https", "http"), "access_token": True}, "https"),
        ("prometheus", {"fresh_for": "2h"}, "fresh_for"),
        ("consumers", {"urls": []}, "urls"),
        ("consumers", {"urls": [URL, URL]}, "twice"),
        ("consumers", {"urls": [f"{URL}/{n}" for n in range(101)]}, "urls"),
        ("consumers", {"urls": [URL, "http://x.test"], "header": HEADER}, "urls[1] must be https"),
        ("consumers", {"share": 0}, "share"),
        ("consumers", {"share": 1.5}, "share"),
        ("consumers", {"secret": "orders"}, "secret"),
        ("consumers", {"fresh_for": "0s"}, "fresh_for"),
        ("sessions", {"arrived": -1}, "arrived"),
        ("sessions", {"arrived": 0}, "left"),
        ("sessions", {"arrived": "1"}, "arrived"),
    ],
)
def test_a_fault_is_named(kind: str, changes: dict[str, Any], words: str) -> None:
    settings, faults = read(kind, **changes)
    text = "; ".join(map(str, faults))
    assert settings is Invalid.VALUE
    assert words in text
    assert "hunter2" not in text


def test_every_setting_has_a_json_schema() -> None:
    kinds = {name: gate.spec.settings for name, gate in GATES.items()}
    schema = policy_schema(Kinds({}, {}, kinds))
    stage = schema["properties"]["rollout"]["items"]["properties"]
    choices = {choice["title"]: choice for choice in stage["gates"]["items"]["oneOf"]}
    assert choices.keys() == GATES.keys()
    assert choices["http"]["required"] == ["kind", "target"]
    definitions, documents = {"$defs": schema["$defs"]}, targets_schema(kinds)
    asked = documents["properties"]["targets"]["additionalProperties"]["oneOf"]
    http_target = next(choice for choice in asked if choice["title"] == "http")
    assert http_target["properties"]["timeout"]["default"] == "5s"
    for kind, example in [*BASE.items(), ("http", {"url": URL, "header": HEADER, "body": BODY})]:
        on_target, own = divided(kind, example)
        named = {"target": "asked"} if target_type(kinds[kind]) else {}
        jsonschema.validate({"kind": kind, **named, **own}, {**choices[kind], **definitions})
        target = {"kind": kind, **on_target, "secrets": ["projects/p/secrets/s"]}
        jsonschema.validate({"targets": {"asked": target} if named else {}}, documents)
