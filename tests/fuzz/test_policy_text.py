"""Any text is a policy, or refused with every fault named and no value quoted."""

import copy
import dataclasses
import json
from typing import Any, Final

import jsonschema
import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rotation.cli.views.policy_file import compact, to_json, to_yaml
from rotation.model.policy import Policy
from rotation.policies.choosing import Asking
from rotation.policies.duration import LONGEST, format_duration, parse_duration
from rotation.policies.policy import FaultyPolicyError, decode_policy, encode_policy
from rotation.policies.schema import policy_schema, targets_schema
from rotation.policies.targets import FaultyTargetsError, decode_targets

from .policies import (
    KINDS,
    PASSWORD,
    RECORDS,
    TARGET,
    careful,
    careful_target,
    careless,
)
from .profiles import examples
from .texts import HOSTILE, any_text, dumped, json_values, mutated, same, sound_text

VALIDATOR = jsonschema.Draft202012Validator(policy_schema(KINDS))
TARGETS_VALIDATOR = jsonschema.Draft202012Validator(targets_schema(RECORDS))
#: What the schema cannot say: rules between fields, ranges, and what JSON Schema has no word for.
BEYOND_SCHEMA: Final = (
    "three different roles",
    "is a reserved role",
    "is not a name of 1 to",
    "admin",
    "port must be",
    "timeout must be",
    "host must be",
    "tls_root_cert",
    "replicas[",
    "duration of at most",
    "lone surrogate",
    # JSON Schema takes 5432.0 for an integer, Python's `$` the end of a line for the end.
    "expected a whole number, got a number",
    "expected a duration such as",
    "which does not show",
    # A second project, and roles that the target does not name.
    "does not allow it",
)
FLOOD: Final = 30_000
#: Whoever has no targets document.
LOOKING: Final = dataclasses.replace(KINDS, asking=Asking(judge=False))
KNOWN: Final = {
    "": ("issuer", "rollout", "soak", "retire"),
    "issuer": ("target", *KINDS.issuers["postgresql"].__dataclass_fields__),
    "retire": ("observe", "destroy_after"),
    "rollout": ("stage", "participants", "gates", "soak"),
}


def decode(text: str) -> Policy:
    return decode_policy(text, KINDS)


def faults_of(text: str) -> list[str]:
    """Decode; return the faults, none when it is a policy."""
    try:
        decode(text)
    except FaultyPolicyError as error:
        message = str(error)
        assert len(message) < FLOOD
        assert message.encode()
        assert error.faults
        return [str(fault) for fault in error.faults]
    return []


def faults_of_target(target: Any) -> list[str]:
    """Read a document of one target; return the faults, none when it is one."""
    try:
        decode_targets({"targets": {"orders-db": target}}, RECORDS)
    except FaultyTargetsError as error:
        assert len(str(error)) < FLOOD
        return [str(fault) for fault in error.faults]
    return []


@examples(250)
@given(careful)
def test_a_policy_round_trips_and_yaml_and_json_say_the_same(document: Any) -> None:
    text = dumped(document)
    assume(not faults_of(text))
    policy = decode(text)
    assert decode(encode_policy(policy)) == policy
    assert decode(compact(text)) == policy
    assert decode(to_json(to_yaml(document))) == policy
    assert decode(to_json(text)) == policy
    assert VALIDATOR.is_valid(document)
    assert VALIDATOR.is_valid(json.loads(encode_policy(policy)))


@examples(500)
@given(careless())
@example({"issuer": {"kind": "postgresql", "target": PASSWORD, "slots": ["a", "b"], "owner": "o"}})
@example({"issuer": {"kind": "postgresql", "target": "orders-db", "slots": ["a", "b"],
                     "owner": "o", "host": f"postgres://app:{PASSWORD}@db"}})  # fmt: skip
@example({"issuer": {"kind": "postgresql", "host": f"postgres://app:{PASSWORD}@db"}})
@example({"issuer": {"kind": "postgresql", "target": "orders-db", "slots": ["a" * 9000, "b"],
                     "owner": "o"}})  # fmt: skip
@example({"issuer": {"kind": PASSWORD, "password": PASSWORD}, "soak": PASSWORD,
          "retire": PASSWORD, "rollout": PASSWORD})  # fmt: skip
@example({"issuer": {"kind": "postgresql", "target": "orders-db", "slots": PASSWORD,
                     "owner": [PASSWORD], "probes": PASSWORD},
          "rollout": [{"stage": [PASSWORD], "participants": [PASSWORD]}]})  # fmt: skip
def test_a_mistake_is_named_and_the_schema_agrees(document: Any) -> None:
    _judge(document, faults_of(dumped(document)), VALIDATOR)


@examples(200)
@given(careful | careless())
def test_who_looks_without_a_document_finds_no_fault_that_the_function_does_not(
    document: Any,
) -> None:
    text = dumped(document)
    assume(not faults_of(text))
    decode_policy(text, LOOKING)


@examples(500)
@given(careless(careful_target))
@example({**TARGET, "admin": PASSWORD})
@example({**TARGET, "replicas": [f"postgres://app:{PASSWORD}@db"]})
@example({**TARGET, "database": "d" * 9000})
@example({"kind": PASSWORD, "password": PASSWORD, "secrets": PASSWORD})
@example({**TARGET, "port": PASSWORD, "tls": PASSWORD, "host": [PASSWORD],
          "replicas": {"a": PASSWORD}, "roles": PASSWORD})  # fmt: skip
def test_a_mistake_in_a_target_is_named_and_the_schema_agrees(target: Any) -> None:
    document = {"targets": {"orders-db": target}}
    _judge(document, faults_of_target(target), TARGETS_VALIDATOR)


def _judge(document: Any, faults: list[str], validator: jsonschema.Draft202012Validator) -> None:
    where = [fault for fault in faults if PASSWORD in fault]
    # A key is quoted: it is what was misspelled.  No value is.
    assert where == [] or PASSWORD in _keys(document)
    if not faults:
        assert validator.is_valid(document)
    elif validator.is_valid(document):
        assert all(any(known in fault for known in BEYOND_SCHEMA) for fault in faults), faults


def _keys(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join([*value, *(map(_keys, value.values()))])
    return " ".join(map(_keys, value)) if isinstance(value, list) else ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect_timeout", 0),
        ("lock_timeout", -5),
        ("statement_timeout", 10**20),
        ("replica_timeout", 10**30),
        ("host", ""),
        ("host", "a\0b"),
        ("host", "db1,db2"),
        ("admin", "projects/p/secrets/s/versions/"),
        ("admin", "projects/p/secrets/s/versions/1/versions/2"),
        ("replicas", ["db:0"]),
        ("replicas", ["db:99999"]),
        ("replicas", ["db:\u0663"]),
        ("replicas", [""]),
        ("replicas", ["a,b"]),
    ],
)
def test_what_postgresql_would_refuse_later_is_refused_now(field: str, value: Any) -> None:
    (fault,) = faults_of_target({**TARGET, field: value})
    assert field in fault


def test_a_probe_that_postgresql_would_refuse_later_is_refused_now() -> None:
    issuer = {"kind": "postgresql", "target": "orders-db", "slots": ["a", "b"], "owner": "o",
              "probes": ["SELECT '\0'"]}  # fmt: skip
    (fault,) = faults_of(dumped({"issuer": issuer}))
    assert "probes" in fault


@examples(300)
@given(careful, st.sampled_from(["", "issuer", "retire", "rollout"]), any_text)
def test_an_unknown_key_is_always_refused(document: Any, place: str, key: str) -> None:
    inner = document
    if place:
        inner = document.get(place, {})
        inner = inner[0] if isinstance(inner, list) else inner
        document = {**document, place: [inner] if place == "rollout" else inner}
    before = set(faults_of(dumped(document)))
    assume(key not in KNOWN[place] and key != "kind")
    inner[key] = "1h"
    added = [fault for fault in faults_of(dumped(document)) if fault not in before]
    assert added
    if key not in {"approval", "gates", "soak"}:
        assert any("unknown key" in fault for fault in added)
        assert any("known are" in fault or "did you mean" in fault for fault in added)


@pytest.mark.parametrize(
    ("key", "meant"), [("slot", "slots"), ("probs", "probes"), ("ownr", "owner")]
)
def test_the_nearest_known_key_is_named(key: str, meant: str) -> None:
    (fault,) = [
        fault
        for fault in faults_of(
            dumped({"issuer": {"kind": "postgresql", "target": "orders-db", key: 1}})
        )
        if "unknown" in fault
    ]
    assert f"did you mean {meant!r}?" in fault


@examples(400)
@given(
    st.one_of(
        json_values.map(dumped),
        any_text,
        st.sampled_from(HOSTILE),
        mutated(careful.map(lambda document: dumped(document).encode())).map(
            lambda text: text.decode(errors="replace")
        ),
    )
)
def test_any_text_is_a_policy_or_says_why(text: str) -> None:
    if not faults_of(text):
        assert faults_of(encode_policy(decode(text))) == []


# Files

_SNIPPETS = st.sampled_from(
    ["!!int ''", "!!float ''", "!!bool maybe", "!!timestamp x", "!!binary x", "!!set {a}", "!x y",
     "!!null", "&a 1", "*a", "<<: {a: 1}", "? [a]\n: b", "{a: 1, a: 2}", "a: b: c", "- - - a",
     "0o7", "1:30", ".nan", "2026-11-22", "%YAML 9.9\n---\na", "---\n---\n", "a: |\n x", "[" * 2000,
     "'\\ud800'", '"\\ud800"', "\x07", "\t", "=", "~", "9" * 5000, "!!python/object:os.system x"]
)  # fmt: skip


@examples(400)
@given(
    st.one_of(
        _SNIPPETS,
        st.builds(lambda key, value: f"{key}: {value}", sound_text, _SNIPPETS),
        any_text,
        json_values.map(dumped),
        careful.map(yaml.safe_dump),
        mutated(careful.map(lambda document: yaml.safe_dump(document).encode())).map(
            lambda text: text.decode(errors="replace")
        ),
    )
)
@example("a: !!int ''")
@example("a: !!float ''")
@example("a: !!bool maybe")
@example("a: !!timestamp x")
@example("[" * 5000)
def test_any_file_is_json_text_or_says_why(text: str) -> None:
    try:
        converted = to_json(text)
    except FaultyPolicyError as error:
        assert "not a policy file" in str(error)
        assert len(str(error)) < FLOOD
    else:
        faults_of(converted)


@examples(200)
@given(json_values)
@example({"\x85": "\u2028\u2029 a\x85b"})
def test_what_is_shown_can_be_applied_again(document: Any) -> None:
    before = copy.deepcopy(document)
    try:
        shown = to_yaml(document)
        converted = to_json(shown)
    except FaultyPolicyError:
        return
    assert same(json.loads(converted), before)


def test_what_nests_deeper_than_yaml_is_written_is_shown_all_the_same() -> None:
    document = json.loads("[" * 900 + "]" * 900)
    assert json.loads(to_yaml(document)) == document


# Durations


@examples(300)
@given(any_text | st.from_regex(r"[0-9]{1,10}[dhms]([0-9]+[dhms])*\n?"))
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        assert not text or len(text) < 4 or text not in str(error)
        return
    assert duration <= LONGEST
    assert parse_duration(format_duration(duration)) == duration
    assert VALIDATOR.evolve(schema=VALIDATOR.schema["properties"]["soak"]).is_valid(text)
