"""What a policy may say, and how every fault is named."""

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rotation.model.errors import BadPluginError, PolicyError
from rotation.model.policy import (
    OnDeadline,
    ParticipantChoice,
    PluginChoice,
    Policy,
    Retire,
    Stage,
)
from rotation.model.text import Lines
from rotation.policies.duration import LONGEST, format_duration, parse_duration
from rotation.policies.policy import (
    FaultyPolicyError,
    Kinds,
    check_fits,
    decode_policy,
    encode_policy,
)
from rotation.policies.schema import policy_schema


class Tone(Enum):
    LOUD = "loud"
    QUIET = "quiet"


@dataclass(frozen=True)
class Nested:
    name: str
    wait: timedelta = timedelta(seconds=90)


@dataclass(frozen=True, kw_only=True)
class Database:
    host: str
    slots: tuple[str, str]
    port: int = 5432
    rate: float = 0.5
    fast: bool = False
    replicas: tuple[str, ...] = ()
    probes: list[Lines] = field(default_factory=list)
    tls: Literal["verify-full", "require"] = "verify-full"
    tone: Tone = Tone.QUIET
    level: Literal[1, 2] = 1
    owner: str | None = None
    patience: timedelta = timedelta(minutes=5)
    nested: Nested | None = None
    limits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.port == 1:
            raise ValueError("port 1 is not for databases")
        if self.port == 2:
            raise PolicyError("port 2 neither")


@dataclass(frozen=True)
class Alias:
    pass


@dataclass(frozen=True)
class Named:
    name: str = ""


KINDS = Kinds(
    issuers={"database": Database, "api-key": Alias},
    participants={"alias": Alias},
    gates={"http": Alias},
)
STAGED = replace(KINDS, participants={"alias": Alias, "pin": Named})
ISSUER: dict[str, Any] = {"kind": "database", "host": "db", "slots": ["a", "b"]}


def decode(document: object) -> Policy:
    return decode_policy(json.dumps(document), KINDS)


def faults(document: object) -> list[str]:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(FaultyPolicyError) as caught:
        decode_policy(text, KINDS)
    assert all(str(fault) in str(caught.value) for fault in caught.value.faults)
    return [str(fault) for fault in caught.value.faults]


def issuer_faults(**settings: object) -> list[str]:
    return faults({"issuer": {**ISSUER, **settings}})


# What would look like something else

HIDDEN = ["\n", "\r", "\t", "\x1b", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\u061c"]


@pytest.mark.parametrize("char", HIDDEN, ids=lambda char: f"{ord(char):04x}")
@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"host": "d{}b"}, "issuer.host"),
        ({"slots": ["a", "b{}\\! touch x"]}, "issuer.slots[1]"),
        ({"owner": "{}o"}, "issuer.owner"),
        ({"nested": {"name": "n{}"}}, "issuer.nested.name"),
        ({"limits": {"x{}y": 1}}, "issuer.limits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_with_what_does_not_show_is_refused(
    char: str, settings: dict[str, Any], path: str
) -> None:
    text = json.dumps({"issuer": {**ISSUER, **settings}}).replace("{}", json.dumps(char)[1:-1])
    (fault,) = faults(text)
    assert fault.startswith(f"{path}: ")
    assert f"U+{ord(char):04X}" in fault
    assert fault.isprintable()
    assert "touch" not in fault


def test_a_query_may_have_lines_and_nothing_else_that_does_not_show() -> None:
    probes = ["SELECT 1\n\tFROM orders\r\n LIMIT 1"]
    assert decode({"issuer": {**ISSUER, "probes": probes}}).issuer.settings.probes == probes
    (fault,) = issuer_faults(probes=["SELECT '\u202e'"])
    assert fault.startswith("issuer.probes[0]: ")


# What is understood


def test_a_policy_of_an_issuer_alone_takes_the_defaults() -> None:
    assert decode({"issuer": ISSUER}) == Policy(
        issuer=PluginChoice("database", Database(host="db", slots=("a", "b"))),
        rollout=(Stage("everyone", (ParticipantChoice("alias", Alias()),)),),
        soak=timedelta(hours=1),
        retire=Retire(),
    )


def test_every_type_of_setting_is_read() -> None:
    settings = {
        "port": 6432,
        "rate": 1,
        "fast": True,
        "replicas": ["r1", "r2"],
        "probes": ["SELECT 1"],
        "tls": "require",
        "tone": "loud",
        "owner": "owner",
        "patience": "1h30m",
        "nested": {"name": "n"},
        "limits": {"x": 1},
    }
    assert decode({"issuer": {**ISSUER, **settings}}).issuer.settings == Database(
        host="db",
        slots=("a", "b"),
        port=6432,
        rate=1.0,
        fast=True,
        replicas=("r1", "r2"),
        probes=["SELECT 1"],
        tls="require",
        tone=Tone.LOUD,
        owner="owner",
        patience=timedelta(minutes=90),
        nested=Nested("n"),
        limits={"x": 1},
    )


def test_null_is_read_where_a_setting_is_optional() -> None:
    assert decode({"issuer": {**ISSUER, "owner": None}}).issuer.settings.owner is None


def test_a_whole_policy_is_read() -> None:
    policy = decode(
        {
            "issuer": ISSUER,
            "rollout": [{"stage": "all", "participants": [{"kind": "alias"}]}],
            "soak": "24h",
            "retire": {"observe": "0s", "destroy_after": "7d"},
        }
    )
    assert policy.rollout[0].stage == "all"
    assert policy.soak == timedelta(days=1)
    assert policy.retire == Retire(timedelta(0), timedelta(days=7))


def test_encoding_writes_out_the_defaults_and_reads_back_the_same() -> None:
    policy = decode({"issuer": {**ISSUER, "nested": {"name": "n"}, "limits": {"x": 1}}})
    text = encode_policy(policy)
    assert decode_policy(text, KINDS) == policy
    assert json.loads(text)["soak"] == "1h"
    assert json.loads(text)["issuer"]["kind"] == "database"


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("10m", 600),
        ("24h", 86_400),
        ("7d", 604_800),
        ("1h30m", 5400),
        ("1d2h3m4s", 93_784),
    ],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "10",
        "1.5h",
        "-1h",
        "+1h",
        "1h ",
        "h",
        "1x",
        "30m1h",
        "1h1h",
        "1H",
        "\u0661h",
        "1h\n",
        "PT1H",
        "36501d",
        "999999999d",
        "9999999999s",
    ],
)
def test_nonsense_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@settings(deadline=None)
@given(st.integers(0, int(LONGEST.total_seconds())))
def test_a_duration_spelled_reads_the_same(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("value", [0, 3600, 1.5, True, None, ["1h"], "soon"])
def test_a_soak_that_is_no_duration_is_a_fault(value: object) -> None:
    (fault,) = faults({"issuer": ISSUER, "soak": value})
    assert fault.startswith("soak: expected a duration")


# Faults


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"port": "5432"}, "issuer.port: expected a whole number, got text"),
        ({"port": 5432.0}, "issuer.port: expected a whole number, got a number"),
        ({"port": True}, "issuer.port: expected a whole number, got true or false"),
        ({"fast": 1}, "issuer.fast: expected true or false, got a whole number"),
        ({"host": None}, "issuer.host: expected text, got null"),
        ({"host": ["db"]}, "issuer.host: expected text, got a list"),
        ({"rate": "x"}, "issuer.rate: expected a number, got text"),
        ({"replicas": "r1"}, "issuer.replicas: expected a list, got text"),
        ({"replicas": ["r1", 2]}, "issuer.replicas[1]: expected text, got a whole number"),
        ({"slots": ["a"]}, "issuer.slots: expected 2 entries, got 1"),
        (
            {"tls": "verify"},
            "issuer.tls: expected one of 'verify-full', 'require'; did you mean 'verify-full'?",
        ),
        ({"level": True}, "issuer.level: expected one of 1, 2"),
        ({"level": 1.0}, "issuer.level: expected one of 1, 2"),
        ({"tls": 1}, "issuer.tls: expected one of 'verify-full', 'require'"),
        ({"tone": "shrill"}, "issuer.tone: expected one of 'loud', 'quiet'"),
        ({"nested": {}}, "issuer.nested: the key 'name' is missing"),
        ({"nested": {"name": 1}}, "issuer.nested.name: expected text, got a whole number"),
        ({"limits": {"x": "1"}}, "issuer.limits.'x': expected a whole number, got text"),
        ({"hots": "db2"}, "issuer: unknown key 'hots'; did you mean 'host'?"),
        ({"port": 1}, "issuer: port 1 is not for databases"),
        ({"port": 2}, "issuer: port 2 neither"),
        ({"host": "\ud800"}, "issuer.host: the text holds half a character (a lone surrogate)"),
    ],
    ids=str,
)
def test_a_faulty_setting_is_named_with_its_path(settings: dict[str, object], fault: str) -> None:
    assert issuer_faults(**settings) == [fault]


def test_missing_keys_are_named() -> None:
    assert faults({"issuer": {"kind": "database"}}) == [
        "issuer: the key 'host' is missing",
        "issuer: the key 'slots' is missing",
    ]


def test_a_policy_needs_an_issuer() -> None:
    assert faults({}) == ["the key 'issuer' is missing: say which system mints the credential"]


@pytest.mark.parametrize("issuer", ["database", None, [], {}, {"kind": 1}])
def test_an_issuer_needs_a_kind(issuer: object) -> None:
    (fault,) = faults({"issuer": issuer})
    assert fault == "issuer: expected an object with the key 'kind'; known are: api-key, database"


def test_an_unknown_kind_lists_the_known_ones() -> None:
    assert faults({"issuer": {"kind": "databse"}}) == [
        "issuer.kind: unknown kind; known are: api-key, database; did you mean 'database'?"
    ]


@pytest.mark.parametrize(
    ("rollout", "fault"),
    [
        ([], "rollout: expected a list of stages; without it, aliases move"),
        ("all", "rollout: expected a list of stages; without it, aliases move"),
        (["all"], "rollout[0]: expected an object with the keys 'stage' and 'participants'"),
        ([{"stage": "all"}], "rollout[0]: the key 'participants' is missing"),
        (
            [{"stage": "all", "participants": []}],
            "rollout[0].participants: expected a list of at least one participant",
        ),
        (
            [{"stage": "", "participants": [{"kind": "alias"}]}],
            (
                "rollout[0].stage: expected a name of lower-case letters, digits, dashes and "
                "underscores, up to 63"
            ),
        ),
        (
            [{"stage": 1, "participants": [{"kind": "alias"}]}],
            "rollout[0].stage: expected text, got a whole number",
        ),
        (
            [{"stage": "all", "participants": [{"kind": "git"}]}],
            "rollout[0].participants[0].kind: unknown kind; known are: alias",
        ),
        (
            [{"stage": "all", "participants": [{"kind": "alias", "name": "x"}]}],
            "rollout[0].participants[0]: unknown key 'name'; none is known here",
        ),
        (
            [{"stage": "all", "participants": [{"kind": "alias"}], "soak": 5}],
            (
                "rollout[0].soak: expected a duration "
                'such as "90s", "10m", "24h" or "7d", got a whole number'
            ),
        ),
        (
            [{"stage": "all", "participants": [{"kind": "alias"}], "gates": {}}],
            "rollout[0].gates: expected a list of gates",
        ),
        (
            [{"stage": "all", "participants": [{"kind": "alias"}], "gates": [{"kind": "htp"}]}],
            "rollout[0].gates[0].kind: unknown kind; known are: http; did you mean 'http'?",
        ),
        (
            [{"stage": "all", "participants": [{"kind": "alias", "deadline": "soon"}]}],
            (
                "rollout[0].participants[0].deadline: expected a duration "
                'such as "90s", "10m", "24h", "7d" or "1h30m"'
            ),
        ),
        (
            [{"stage": "all", "participants": [{"kind": "alias", "on_deadline": "wait"}]}],
            "rollout[0].participants[0].on_deadline: expected one of 'hold', 'revert'",
        ),
        (
            [{"stage": name, "participants": [{"kind": "alias"}]} for name in ("one", "two")],
            "rollout: stage 'two': alias with the same settings stands in stage 'one' already",
        ),
    ],
)
def test_a_faulty_rollout_is_named_with_its_path(rollout: object, fault: str) -> None:
    assert faults({"issuer": ISSUER, "rollout": rollout}) == [fault]


def test_a_rollout_has_any_number_of_stages() -> None:
    canary = {
        "stage": "canary",
        "participants": [{"kind": "pin", "name": "one", "deadline": "2h", "on_deadline": "revert"}],
        "gates": [{"kind": "http"}],
        "soak": "10m",
    }
    everyone = {"stage": "everyone", "participants": [{"kind": "alias"}, {"kind": "pin"}]}
    policy = decode_policy(json.dumps({"issuer": ISSUER, "rollout": [canary, everyone]}), STAGED)
    late = ParticipantChoice("pin", Named("one"), timedelta(hours=2), OnDeadline.REVERT)
    assert policy.rollout == (
        Stage("canary", (late,), (PluginChoice("http", Alias()),), timedelta(minutes=10)),
        Stage(
            "everyone",
            (ParticipantChoice("alias", Alias()), ParticipantChoice("pin", Named())),
        ),
    )
    assert policy.length == timedelta(minutes=10) + Policy(policy.issuer, ()).length
    assert decode_policy(encode_policy(policy), STAGED) == policy
    jsonschema.validate(json.loads(encode_policy(policy)), policy_schema(STAGED))


def test_stages_of_the_same_name_are_named() -> None:
    stages = [{"stage": "all", "participants": [{"kind": "alias"}]}] * 2
    assert "rollout[1].stage: rollout[0] has the same name" in faults(
        {"issuer": ISSUER, "rollout": stages}
    )


def test_an_approval_is_refused_and_not_ignored() -> None:
    assert faults({"issuer": ISSUER, "approval": {"require": []}}) == [
        "approval: this version knows no approvals; remove it"
    ]


def test_all_faults_are_named_at_once() -> None:
    found = faults(
        {
            "isuer": {},
            "soak": 5,
            "retire": {"obsrve": "1h"},
            "issuer": {"kind": "database", "port": "x"},
            "rollout": [{"stage": "all", "participants": [{"kind": "git"}, {"knd": "alias"}]}],
        }
    )
    assert sorted(found) == sorted(
        [
            "unknown key 'isuer'; did you mean 'issuer'?",
            "issuer: the key 'host' is missing",
            "issuer: the key 'slots' is missing",
            "issuer.port: expected a whole number, got text",
            "rollout[0].participants[0].kind: unknown kind; known are: alias",
            "rollout[0].participants[1]: expected an object with the key 'kind'; known are: alias",
            'soak: expected a duration such as "90s", "10m", "24h" or "7d", got a whole number',
            "retire: unknown key 'obsrve'; did you mean 'observe'?",
        ]
    )


class Breaking(dict[str, type]):
    """Plugins by name, none of which can be loaded."""

    def __getitem__(self, name: str) -> type:
        raise BadPluginError(f"{name} cannot be loaded", remedy="repair it")


def test_a_plugin_that_cannot_be_loaded_is_a_fault_where_it_is_named_and_nowhere_else() -> None:
    kinds = replace(KINDS, gates=Breaking(http=Alias))
    stage = {"stage": "all", "participants": [{"kind": "alias"}]}
    decode_policy(json.dumps({"issuer": ISSUER, "rollout": [stage]}), kinds)
    stage["gates"] = [{"kind": "http", "url": 1}]
    text = json.dumps({"issuer": {**ISSUER, "port": "x"}, "rollout": [stage]})
    with pytest.raises(FaultyPolicyError) as caught:
        decode_policy(text, kinds)
    assert [str(fault) for fault in caught.value.faults] == [
        "issuer.port: expected a whole number, got text",
        "rollout[0].gates[0].kind: http cannot be loaded; repair it",
    ]


def test_a_flood_of_faults_makes_no_flood_of_text() -> None:
    with pytest.raises(FaultyPolicyError) as caught:
        decode({"issuer": ISSUER, **{f"key{number}": 1 for number in range(500)}})
    assert len(caught.value.faults) == 500
    assert str(caught.value).endswith("and 450 more")


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": {**ISSUER, "password": "hunter2"}},
        {"issuer": {**ISSUER, "port": "hunter2"}},
        {"issuer": {**ISSUER, "tls": "hunter2"}},
        {"issuer": {**ISSUER, "patience": "hunter2"}},
        {"issuer": {"kind": "hunter2"}},
        {"issuer": "hunter2"},
        {"issuer": ISSUER, "rollout": "hunter2", "soak": "hunter2"},
    ],
)
def test_no_value_is_quoted(document: object) -> None:
    with pytest.raises(FaultyPolicyError) as caught:
        decode(document)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.faults)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not JSON: line 1, column 1"),
        ('{"issuer":\n  {"kind": "database",}}', "not JSON: line 2, column 23"),
        ("issuer: {}", "not JSON: line 1, column 1"),
        ("[]", "expected one object with the key 'issuer'"),
        ("[" * 100_000, "not a policy"),
        ('{"soak": NaN}', "not a policy"),
        ('{"soak": 1e999}', "not a policy"),
        ('{"soak": ' + "9" * 5000 + "}", "not a policy"),
    ],
    ids=range(8),
)
def test_text_that_is_no_json_object_is_located(text: str, fault: str) -> None:
    (found,) = faults(text)
    assert found.startswith(fault)


def test_a_key_written_twice_is_a_fault() -> None:
    text = '{"issuer": {"kind": "database", "host": "a", "host": "b", "slots": ["a", "b"]}}'
    assert faults(text) == ["the key 'host' appears twice"]


# Room in the rotation period


def fits(policy: Policy, period: timedelta | None) -> bool:
    try:
        check_fits(policy, period)
    except PolicyError:
        return False
    return True


def test_a_policy_must_be_over_before_the_next_rotation() -> None:
    policy = decode({"issuer": ISSUER, "soak": "10h", "retire": {"destroy_after": "13h"}})
    assert policy.length == timedelta(days=1)
    assert fits(policy, timedelta(days=1, seconds=1))
    assert not fits(policy, timedelta(days=1))
    assert fits(policy, None)


def test_a_policy_that_does_not_fit_says_by_how_much() -> None:
    with pytest.raises(PolicyError) as caught:
        check_fits(decode({"issuer": ISSUER}), timedelta(hours=2))
    text = str(caught.value)
    assert "soak 1h, retire.observe 1h and retire.destroy_after 12h take 14h" in text
    assert "rotates every 2h" in text


# Anything


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "issuer",
        "rollout",
        "soak",
        "retire",
        "kind",
        "host",
        "slots",
        "nested",
        "stage",
        "tls",
        "participants",
        "observe",
        "limits",
        "patience",
        "approval",
        "name",
    ]
)
LIKELY = st.recursive(
    JSON_VALUES | st.sampled_from(["database", "alias", "1h", "a", ["a", "b"]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def decodes_or_says_why(text: str) -> None:
    try:
        policy = decode_policy(text, KINDS)
    except PolicyError as error:
        str(error).encode()
    else:
        assert decode_policy(encode_policy(policy), KINDS) == policy


@settings(deadline=None)
@given(st.text())
@example('{"\\ud800": 1}')
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    decodes_or_says_why(text)


@settings(deadline=None)
@given(st.dictionaries(KEYS, LIKELY, max_size=6))
def test_any_object_is_a_policy_or_a_policy_error(document: dict[str, object]) -> None:
    decodes_or_says_why(json.dumps(document))


@settings(deadline=None)
@given(st.dictionaries(KEYS, LIKELY, max_size=6))
def test_any_settings_are_a_policy_or_a_policy_error(chosen: dict[str, object]) -> None:
    decodes_or_says_why(json.dumps({"issuer": {**chosen, **ISSUER}}))


# Schema


def test_the_schema_names_every_kind_and_closes_every_object() -> None:
    schema = policy_schema(KINDS)
    issuers = schema["properties"]["issuer"]["oneOf"]
    assert [choice["properties"]["kind"]["const"] for choice in issuers] == ["database", "api-key"]
    assert issuers[0]["required"] == ["kind", "host", "slots"]
    assert issuers[0]["additionalProperties"] is False
    assert schema["$defs"]["Retire"]["additionalProperties"] is False
    stages = schema["properties"]["rollout"]["items"]["properties"]
    assert stages["participants"]["items"]["oneOf"][0]["properties"].keys() == {
        "kind",
        "deadline",
        "on_deadline",
    }


def test_the_schema_spells_durations_as_a_policy_does() -> None:
    schema = policy_schema(KINDS)
    retire = schema["$defs"]["Retire"]["properties"]
    assert retire["destroy_after"]["default"] == "12h"
    assert schema["properties"]["soak"]["default"] == "1h"
    assert '"format": "duration"' not in json.dumps(schema)
    assert "PT" not in json.dumps(schema)


def test_every_reference_of_the_schema_leads_somewhere() -> None:
    schema = policy_schema(KINDS)
    text = json.dumps(schema)
    names = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert names <= set(schema["$defs"])
    assert names
