"""The JSON Schemas of policies that name targets, and of the targets document."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation import registry
from rotation.generate.fields import describe
from rotation.generate.schema import commented_schema, commented_targets_schema
from rotation.issuers.postgresql.settings import PostgreSQLSettings
from rotation.model.target import target_type
from rotation.policies.policy import Kinds
from rotation.policies.schema import policy_schema, targets_schema
from rotation.policies.targets import FaultyTargetsError, Targets, decode_targets
from tests.unit.policies.test_targets import ALL, DATABASE, HEALTH, ISSUER, REPOSITORY

PLUGINS = registry.issuers(), registry.participants(), registry.gates()
RECORDS = registry.settings_of_all(*PLUGINS)
POLICY = {
    "issuer": ISSUER,
    "rollout": [
        {
            "stage": "canary",
            "participants": [
                {"kind": "git", "target": "deploy-repo", "path": "a/secrets.lock.json"},
                {"kind": "alias", "deadline": "5m"},
            ],
            "gates": [{"kind": "http", "target": "canary", "max_error_rate": 0.1}],
        }
    ],
}
INLINE = {
    "issuer": {
        **{key: value for key, value in ISSUER.items() if key != "target"},
        **{key: DATABASE[key] for key in ("host", "database", "admin")},
    }
}


def document() -> Targets:
    return decode_targets({"targets": ALL}, RECORDS)


def kinds(targets: Targets | None = None) -> Kinds:
    return registry.kinds(*PLUGINS, targets)


def is_valid(value: object, schema: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def test_policy_that_names_targets_is_valid() -> None:
    assert is_valid(POLICY, policy_schema(kinds()))
    assert is_valid(POLICY, policy_schema(kinds(document())))


def test_policy_with_addresses_is_not_valid() -> None:
    assert not is_valid(INLINE, policy_schema(kinds()))
    assert not is_valid(INLINE, policy_schema(kinds(document())))


@pytest.mark.parametrize(
    "changed", [{"host": "attacker.example"}, {"target": "canary"}, {"target": "unknown"}]
)
def test_policy_that_says_what_is_the_targets_is_not_valid(changed: dict[str, str]) -> None:
    policy = {"issuer": {**ISSUER, **changed}}
    assert not is_valid(policy, policy_schema(kinds(document())))


def test_targets_document_is_valid() -> None:
    demands = {"soak": "1h", "observe": "1h", "max_age": "90d"}
    database = {**DATABASE, "demands": demands}
    assert is_valid({"targets": {**ALL, "orders-db": database}}, targets_schema(RECORDS))


@pytest.mark.parametrize(
    "faulty",
    [
        {"Canary!": HEALTH},
        {"a": {**HEALTH, "kind": "alias"}},
        {"a": {**HEALTH, "secrets": []}},
        {"a": {**HEALTH, "secrets": ["projects/*/secrets/x"]}},
        {"a": {**HEALTH, "expect": [200]}},
        {"a": {key: value for key, value in REPOSITORY.items() if key != "secrets"}},
        {"a": {**DATABASE, "demands": {"approval": []}}},
    ],
)
def test_faulty_targets_document_is_not_valid(faulty: dict[str, Any]) -> None:
    assert not is_valid({"targets": faulty}, targets_schema(RECORDS))
    with pytest.raises(FaultyTargetsError):
        decode_targets({"targets": faulty}, RECORDS)


_KEYS = st.sampled_from(["kind", "host", "tls", "port", "url", "secrets", "demands", "roles"])
_VALUES = st.one_of(
    st.sampled_from(["http", "db", "disable", "https://a.example/", 5433, None, {}, [], ["a_*"]]),
    st.lists(st.sampled_from(["projects/p/secrets/s-*", "projects/p/locations/l/secrets/?", "x"])),
    st.dictionaries(st.sampled_from(["soak", "max_age"]), st.sampled_from(["1h", "90d", 5, None])),
)


@settings(deadline=None)
@given(st.sampled_from(list(ALL.values())), st.dictionaries(_KEYS, _VALUES, max_size=2))
def test_what_is_read_is_valid(base: dict[str, Any], changed: dict[str, Any]) -> None:
    value = {"targets": {"a": {**base, **changed}}}
    try:
        decode_targets(value, RECORDS)
    except FaultyTargetsError:
        return
    assert is_valid(value, targets_schema(RECORDS))


def test_every_setting_says_what_it_means() -> None:
    schema = commented_targets_schema({kind: RECORDS[kind] for kind in RECORDS})
    for choice in schema["properties"]["targets"]["additionalProperties"]["oneOf"]:
        for name, setting in choice["properties"].items():
            assert name == "kind" or setting["description"], (choice["title"], name)
    policies = json.dumps(commented_schema(kinds()))
    assert policies.count('"target": {') == sum(
        policies.count(f'"title": "{kind}"')
        for kind in RECORDS
        if target_type(RECORDS[kind]) is not None
    )


def test_setting_says_who_says_it() -> None:
    owners = {setting.name: setting.owner for setting in describe(PostgreSQLSettings)}
    assert owners["host"] == owners["roles"] == "target"
    assert owners["slots"] == owners["probes"] == owners["payload.shape"] == "policy"
