"""What the deployment lets be touched: its document, and what it makes of a policy."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation import registry
from rotation.model.errors import PolicyError
from rotation.model.names import SecretName
from rotation.model.policy import NotKnownHere, Policy
from rotation.model.target import fits
from rotation.policies.choosing import check_known
from rotation.policies.explaining import usage
from rotation.policies.policy import FaultyPolicyError, Kinds, decode_policy, encode_policy
from rotation.policies.targets import (
    FaultyTargetsError,
    Targets,
    decode_targets,
    parse_document,
)

ORDERS = SecretName("acme", "orders")
DATABASE: dict[str, Any] = {
    "kind": "postgresql",
    "host": "10.0.0.5",
    "database": "orders",
    "admin": "projects/acme/secrets/rotator",
    "roles": ["orders_*"],
    "owners": ["orders_owner"],
    "secrets": ["projects/acme/secrets/orders", "projects/acme/secrets/orders-*"],
}
REPOSITORY: dict[str, Any] = {
    "kind": "git",
    "host": "github",
    "url": "https://github.com/acme/deploy",
    "paths": ["**/secrets.lock.json"],
    "secrets": ["projects/acme/secrets/orders"],
}
HEALTH: dict[str, Any] = {
    "kind": "http",
    "url": "https://canary.acme.example/healthz",
    "secrets": ["projects/acme/secrets/orders"],
}
ALL = {"orders-db": DATABASE, "deploy-repo": REPOSITORY, "canary": HEALTH}
ISSUER: dict[str, Any] = {
    "kind": "postgresql",
    "target": "orders-db",
    "slots": ["orders_a", "orders_b"],
    "owner": "orders_owner",
}


def read(
    document: dict[str, Any], number_of: Callable[[str], str | None] = lambda _project: None
) -> Targets:
    plugins = registry.issuers(), registry.participants(), registry.gates()
    return decode_targets({"targets": document}, registry.settings_of_all(*plugins), number_of)


def kinds(targets: Targets | None) -> Kinds:
    plugins = registry.issuers(), registry.participants(), registry.gates()
    return registry.kinds(*plugins, targets)


def decode(
    policy: dict[str, Any], targets: Targets | None = None, secret: SecretName | None = ORDERS
) -> Policy:
    return decode_policy(json.dumps(policy), kinds(targets or read(ALL)), secret)


def refused(policy: dict[str, Any], secret: SecretName | None = ORDERS) -> FaultyPolicyError:
    with pytest.raises(FaultyPolicyError) as raised:
        decode(policy, secret=secret)
    return raised.value


def faulty(document: dict[str, Any]) -> str:
    with pytest.raises(FaultyTargetsError) as raised:
        read(document)
    return str(raised.value)


def test_issuer_has_settings_of_both() -> None:
    found = decode({"issuer": ISSUER}).issuer.settings
    assert found.host == "10.0.0.5"
    assert found.slots == ("orders_a", "orders_b")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "attacker.example"),
        ("port", 5433),
        ("tls", "disable"),
        ("admin", "projects/acme/secrets/other-admin"),
        ("roles", ["*"]),
        ("replicas", ["attacker.example"]),
        ("statement_timeout", 3600),
    ],
)
def test_what_is_the_targets_is_refused_in_a_policy(key: str, value: object) -> None:
    error = refused({"issuer": {**ISSUER, key: value}})
    assert error.reason == "not-allowed"
    assert f"targets.orders-db.{key}" in str(error)
    assert "attacker" not in str(error)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"slots": ["orders_a", "billing_b"]}, "targets.orders-db.roles"),
        ({"owner": "billing_owner"}, "targets.orders-db.owners"),
        ({"target": "billing-db"}, "no target of kind postgresql"),
        ({"target": "canary"}, "no target of kind postgresql"),
    ],
)
def test_what_a_target_does_not_list_is_refused(changed: dict[str, Any], line: str) -> None:
    error = refused({"issuer": {**ISSUER, **changed}})
    assert error.reason == "not-allowed"
    assert line in str(error)


@pytest.mark.parametrize("name", ["billing", "ordersx", "xorders", "Orders"])
def test_secret_that_no_line_names_may_not_use_a_target(name: str) -> None:
    error = refused({"issuer": ISSUER}, SecretName("acme", name))
    assert error.reason == "not-allowed"
    assert "targets.orders-db.secrets does not name it" in str(error)


def test_secret_of_another_project_or_place_may_not_use_a_target() -> None:
    assert refused({"issuer": ISSUER}, SecretName("other", "orders")).reason == "not-allowed"
    regional = SecretName("acme", "orders", "europe-west1")
    assert refused({"issuer": ISSUER}, regional).reason == "not-allowed"


def test_number_of_a_project_is_the_project() -> None:
    numbers = {"acme": "123", "123": "123", "456": "456"}
    targets = read(ALL, numbers.get)
    decode({"issuer": ISSUER}, targets, SecretName("123", "orders-7"))
    with pytest.raises(FaultyPolicyError):
        decode({"issuer": ISSUER}, targets, SecretName("456", "orders"))


def test_issuer_without_a_target_is_refused_where_there_is_a_document() -> None:
    inline = {**ISSUER, "host": "h", "database": "d", "admin": "projects/p/secrets/s"}
    del inline["target"]
    assert "say which postgresql it is; known are: orders-db" in str(refused({"issuer": inline}))


INLINE = {
    **{key: value for key, value in ISSUER.items() if key != "target"},
    **{key: DATABASE[key] for key in ("host", "database", "admin")},
}
ROLLOUT = [
    {
        "stage": "canary",
        "participants": [{"kind": "git", "target": "deploy-repo", "path": "secrets.lock.json"}],
        "gates": [{"kind": "http", "target": "canary", "max_error_rate": 0.1}],
    },
    {"stage": "everyone", "participants": [{"kind": "alias"}]},
]


def faults_without(policy: dict[str, Any], known: Kinds) -> FaultyPolicyError:
    with pytest.raises(FaultyPolicyError) as raised:
        decode_policy(json.dumps(policy), known, ORDERS)
    return raised.value


@pytest.mark.parametrize("issuer", [ISSUER, INLINE, {**ISSUER, "host": "attacker.example"}])
def test_nothing_may_be_touched_without_a_document(issuer: dict[str, Any]) -> None:
    error = faults_without({"issuer": issuer, "rollout": ROLLOUT}, kinds(None))
    assert error.reason == "not-allowed"
    for place in ("issuer", "rollout[0].participants[0]", "rollout[0].gates[0]"):
        assert any(fault.path.startswith(place) for fault in error.faults), place
    assert "set ROTATION_TARGETS to the deployment's targets document" in str(error)
    assert "attacker" not in str(error)


def test_what_touches_nothing_needs_no_document() -> None:
    stage = {"stage": "all", "participants": [{"kind": "alias"}]}
    policy = {"issuer": {"kind": "value"}, "rollout": [stage]}
    found = decode_policy(json.dumps(policy), kinds(None), ORDERS)
    assert found.issuer.kind == "value"
    assert found.not_known_here == ()


def test_who_only_looks_takes_targets_as_they_are_named() -> None:
    looking = kinds(None).looking()
    text = json.dumps({"issuer": ISSUER, "rollout": ROLLOUT, "soak": "2h"})
    policy = decode_policy(text, looking, ORDERS)
    assert policy.not_known_here == ("orders-db", "deploy-repo", "canary")
    assert policy.issuer.target == "orders-db"
    assert isinstance(policy.issuer.settings, NotKnownHere)
    assert policy.soak == timedelta(hours=2)
    assert decode_policy(encode_policy(policy), looking, ORDERS) == policy


def test_what_is_not_known_here_cannot_be_opened() -> None:
    policy = decode_policy(json.dumps({"issuer": ISSUER}), kinds(None).looking(), ORDERS)
    with pytest.raises(PolicyError, match="names orders-db") as raised:
        check_known(policy)
    assert raised.value.reason == "not-allowed"
    assert "ROTATION_TARGETS" in raised.value.remedy
    check_known(decode({"issuer": ISSUER}))


@pytest.mark.parametrize(
    ("issuer", "fault"),
    [
        (INLINE, "the key 'target' is missing"),
        ({**ISSUER, "target": "no\nname"}, "no target can have this name"),
        ({**ISSUER, "host": "attacker.example"}, "targets.orders-db.host; remove it"),
        ({**ISSUER, "slot": []}, "did you mean 'slots'?"),
        ({**ISSUER, "slots": ["a"]}, "expected 2 entries"),
        ({"kind": "postgresql", "target": "orders-db"}, "the key 'slots' is missing"),
    ],
)
def test_who_only_looks_sees_what_no_document_would_allow(
    issuer: dict[str, Any], fault: str
) -> None:
    error = faults_without({"issuer": issuer}, kinds(None).looking())
    assert fault in str(error)
    assert "ROTATION_TARGETS" not in str(error)


def test_who_only_looks_sees_a_participant_twice() -> None:
    stages = [{**ROLLOUT[0], "stage": name} for name in ("one", "two")]
    error = faults_without({"issuer": ISSUER, "rollout": stages}, kinds(None).looking())
    assert "stands in stage 'one' already" in str(error)


def test_document_that_is_there_counts_for_who_only_looks() -> None:
    error = faults_without({"issuer": {**ISSUER, "owner": "billing"}}, kinds(read(ALL)).looking())
    assert "targets.orders-db.owners does not allow it" in str(error)


def test_git_names_the_branch_and_the_files_that_may_change() -> None:
    git = {"kind": "git", "target": "deploy-repo", "path": "canary/secrets.lock.json"}
    decode({"issuer": ISSUER, "rollout": [{"stage": "a", "participants": [git]}]})
    for changed, line in (
        ({"path": "canary/deploy.sh"}, "targets.deploy-repo.paths"),
        ({"base": "production"}, "targets.deploy-repo.branches"),
        ({"locate": "path", "pointer": "/spec/replicas"}, "targets.deploy-repo.pointers"),
        ({"url": "https://github.com/acme/other"}, "targets.deploy-repo.url"),
        ({"auth": {}}, "targets.deploy-repo.auth"),
    ):
        stage = {"stage": "a", "participants": [{**git, **changed}]}
        error = refused({"issuer": ISSUER, "rollout": [stage]})
        assert error.reason == "not-allowed"
        assert line in str(error)


@pytest.mark.parametrize("key", ["url", "header", "identity", "timeout", "tls_root_cert"])
def test_gate_takes_its_address_and_token_from_the_target_alone(key: str) -> None:
    gate = {"kind": "http", "target": "canary", key: "https://attacker.example"}
    stage = {"stage": "a", "participants": [{"kind": "alias"}], "gates": [gate]}
    assert f"targets.canary.{key}" in str(refused({"issuer": ISSUER, "rollout": [stage]}))


@pytest.mark.parametrize("key", ["urls", "identity", "header"])
def test_consumers_are_asked_at_the_targets_addresses_alone(key: str) -> None:
    fleet = {
        "kind": "consumers",
        "urls": ["https://a.acme.example", "https://b.acme.example"],
        "identity": True,
        "secrets": ["projects/acme/secrets/orders"],
    }
    targets = read({**ALL, "fleet": fleet})
    gate: dict[str, Any] = {"kind": "consumers", "target": "fleet", "share": 0.5}
    stage = {"stage": "a", "participants": [{"kind": "alias"}], "gates": [gate]}
    policy = decode({"issuer": ISSUER, "rollout": [stage]}, targets)
    assert policy.rollout[0].gates[0].settings.urls == tuple(fleet["urls"])
    gate[key] = ["https://attacker.example"]
    with pytest.raises(FaultyPolicyError, match=f"targets.fleet.{key}"):
        decode({"issuer": ISSUER, "rollout": [stage]}, targets)


def test_plugin_that_touches_nothing_has_no_target() -> None:
    error = refused({"issuer": {"kind": "value", "target": "orders-db"}})
    assert "touches nothing that a target stands for" in str(error)


def test_what_is_written_out_names_the_target_and_reads_the_same() -> None:
    policy = decode({"issuer": ISSUER})
    text = encode_policy(policy)
    assert "10.0.0.5" not in text
    assert decode(json.loads(text)) == policy


def test_stricter_word_counts_and_keeps_its_line() -> None:
    demands = {"soak": "2h", "observe": "30m", "max_age": "90d"}
    targets = read({**ALL, "orders-db": {**DATABASE, "demands": demands}})
    policy = decode({"issuer": ISSUER, "soak": "1m", "retire": {"observe": "1h"}}, targets)
    assert policy.soak == timedelta(hours=2)
    assert policy.retire.observe == timedelta(hours=1)
    assert policy.max_age == timedelta(days=90)
    assert policy.demanded == {
        "soak": "targets.orders-db.demands.soak",
        "max_age": "targets.orders-db.demands.max_age",
    }


def test_faults_of_a_document_are_all_named() -> None:
    text = faulty(
        {
            "orders-db": {**DATABASE, "tsl": "disable", "port": "x"},
            "Canary!": HEALTH,
            "other": {"kind": "postgres"},
            "any": {**HEALTH, "secrets": ["projects/*/secrets/x", "labels.db=orders"]},
            "none": {key: value for key, value in HEALTH.items() if key != "secrets"},
            "alias": {"kind": "alias", "secrets": ["projects/acme/secrets/x"]},
            "later": {**HEALTH, "demands": {"approval": []}},
        }
    )
    for expected in (
        "targets.orders-db: unknown key 'tsl'; did you mean 'tls'?",
        "targets.orders-db.port: expected a whole number",
        "targets: a target's name is",
        "targets.other.kind: no plugin touches targets of this kind; did you mean 'postgresql'?",
        "targets.any.secrets[0]: expected projects/PROJECT/secrets/SECRET",
        "targets.any.secrets[1]: expected",
        "targets.none: the key 'secrets' is missing",
        "targets.alias.kind: no plugin touches",
        "targets.later.demands.approval: this version knows no approvals",
    ):
        assert expected in text


def test_document_is_json_or_yaml_and_no_key_stands_twice() -> None:
    assert parse_document('{"targets": {}}') == {"targets": {}}
    assert parse_document("targets: {}\n") == {"targets": {}}
    for twice in ('{"targets": {}, "targets": {}}', "targets: {}\ntargets: {}\n"):
        with pytest.raises(FaultyTargetsError, match="appears twice"):
            parse_document(twice)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("orders_*", "orders_a", True),
        ("orders_*", "xorders_a", False),
        ("orders_?", "orders_ab", False),
        ("*/a.json", "x/y/a.json", False),
        ("**/a.json", "a.json", True),
        ("**/a.json", "x/y/a.json", True),
        ("**/a.json", "x/ba.json", False),
        ("a.json", "axjson", False),
        ("[ab]", "a", False),
        ("a*", "a\nb", True),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool) -> None:  # noqa: FBT001
    assert fits(pattern, text) is expected


_KEYS = st.sampled_from(
    ["host", "port", "replicas", "admin", "tls", "url", "auth", "api", "header", "identity",
     "nodes", "tls_root_cert", "access_token", "target", "slots", "owner", "probes"]
)  # fmt: skip
_VALUES = st.sampled_from(
    ["attacker.example", "https://attacker.example", ["attacker.example"], 5433, True, {},
     "orders-db", "canary", "deploy-repo", ["orders_a", "orders_b"]]
)  # fmt: skip


@settings(deadline=None)
@given(
    issuer=st.dictionaries(_KEYS, _VALUES, max_size=3),
    participant=st.dictionaries(_KEYS, _VALUES, max_size=3),
    gate=st.dictionaries(_KEYS, _VALUES, max_size=3),
)
def test_no_policy_brings_an_address(
    issuer: dict[str, Any], participant: dict[str, Any], gate: dict[str, Any]
) -> None:
    git = {"kind": "git", "target": "deploy-repo", "path": "a/secrets.lock.json", **participant}
    stage = {
        "stage": "a",
        "participants": [git],
        "gates": [{"kind": "http", "target": "canary", **gate}],
    }
    try:
        policy = decode({"issuer": {**ISSUER, **issuer}, "rollout": [stage]})
    except FaultyPolicyError:
        return
    for choice in policy.choices:
        assert choice.target
        assert "attacker" not in repr(choice.settings)


def test_target_says_what_is_connected_to_and_with_what() -> None:
    fleet = {
        "kind": "consumers",
        "urls": ["https://a.example/x?y=1", "https://b.example"],
        "header": {"name": "X-Key", "secret": "projects/acme/secrets/key"},
        "secrets": ["projects/acme/secrets/orders"],
    }
    cache = {
        "kind": "redis",
        "nodes": ["10.0.0.9"],
        "admin": "projects/acme/secrets/cache",
        "secrets": ["projects/acme/secrets/orders"],
    }
    token = {**HEALTH, "identity": True}
    found = read({**ALL, "fleet": fleet, "cache": cache, "canary": token})
    assert {target.name: target.settings.reaches() for target in found} == {
        "orders-db": "10.0.0.5:5432 with the login projects/acme/secrets/rotator",
        "deploy-repo": "github.com/acme/deploy",
        "canary": "canary.acme.example with an identity token of its origin",
        "fleet": "a.example, b.example with the header in projects/acme/secrets/key",
        "cache": "10.0.0.9 with the login projects/acme/secrets/cache",
    }


def test_usage_names_what_nobody_needs() -> None:
    wide = {**DATABASE, "secrets": ["projects/acme/secrets/orders", "projects/acme/secrets/*"]}
    targets = read({"db": wide, "canary": HEALTH})
    text = json.dumps({"issuer": {**ISSUER, "target": "db"}})
    other = SecretName("acme", "shop")
    policies = {ORDERS: text, other: text, SecretName("acme", "plain"): "{not json"}
    database, canary = usage(targets, policies)
    assert database.users == (ORDERS, other)
    assert [(line.path, user) for line, user in database.wide] == [("targets.db.secrets[1]", other)]
    assert canary.users == canary.wide == ()
    assert database.unknown
    assert not canary.unknown
    policies[SecretName("acme", "more")] = text
    assert next(usage(targets, policies)).wide == ()
