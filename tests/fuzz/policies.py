"""Strategies for policies and targets: sound ones, and what somebody writes by mistake.

Rules of this module:
  1. The kinds are the real ones, as the registry finds them; the one target allows any role.
  2. `PASSWORD` stands for what people paste where it does not belong.
"""

from typing import Any

from hypothesis import strategies as st

from rotation import registry
from rotation.policies.targets import decode_targets

from .texts import any_text, json_values

_PLUGINS = registry.issuers(), registry.participants(), registry.gates()
RECORDS = registry.settings_of_all(*_PLUGINS)
TARGET = {
    "kind": "postgresql",
    "host": "10.0.0.5",
    "database": "orders",
    "admin": "projects/acme/secrets/orders-rotator",
    "roles": ["**"],
    "owners": ["**"],
    "secrets": ["projects/acme/secrets/*"],
}
KINDS = registry.kinds(*_PLUGINS, decode_targets({"targets": {"orders-db": TARGET}}, RECORDS))
PASSWORD = "hunter2-correct-horse"

_names = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
_hosts = st.sampled_from(["10.0.0.5", "db.example.com", "::1", "localhost"])
_replicas = st.lists(st.sampled_from(["10.0.0.6", "db2:6000", "[::1]:7", "fe80::1"]), max_size=3)
durations = st.sampled_from(["0s", "90s", "10m", "1h30m", "24h", "7d", "36500d", "36501d"])
_seconds = st.integers(1, 60)

_postgresql = st.fixed_dictionaries(
    {
        "kind": st.just("postgresql"),
        "target": st.just("orders-db"),
        "slots": st.lists(_names, min_size=2, max_size=2),
        "owner": _names,
    },
    optional={"probes": st.lists(st.just("SELECT 1"), max_size=2)},
)
#: What a careful person writes of a database; nearly all of it can be carried out.
careful_target = st.fixed_dictionaries(
    {
        "kind": st.just("postgresql"),
        "host": _hosts,
        "database": _names,
        "admin": st.just("projects/acme/secrets/orders-rotator"),
        "secrets": st.just(["projects/acme/secrets/orders-*"]),
    },
    optional={
        "port": st.integers(-1, 70_000),
        "replicas": _replicas,
        "tls": st.sampled_from(["verify-full", "verify-ca", "require", "disable"]),
        "tls_root_cert": st.just("/etc/ssl/ca.pem"),
        "roles": st.lists(st.sampled_from(["orders_*", "a"]), max_size=2),
        "connect_timeout": _seconds,
        "lock_timeout": _seconds,
        "statement_timeout": _seconds,
        "replica_timeout": _seconds,
    },
)
_stage = st.fixed_dictionaries(
    {"stage": _names, "participants": st.just([{"kind": "alias"}])},
)
#: What a careful person writes; nearly all of it can be carried out.
careful = st.fixed_dictionaries(
    {"issuer": _postgresql},
    optional={
        "rollout": st.lists(_stage, min_size=1, max_size=1),
        "soak": durations,
        "retire": st.fixed_dictionaries(
            {}, optional={"observe": durations, "destroy_after": durations}
        ),
    },
)

_PATHS = (
    (),
    ("issuer",),
    ("issuer", "slots"),
    ("issuer", "probes"),
    ("replicas",),
    ("secrets",),
    ("retire",),
    ("rollout", 0),
    ("rollout", 0, "participants", 0),
)
_KEYS = st.sampled_from(
    ["issuer", "kind", "target", "secrets", "demands", "host", "port", "slots",
     "owner", "admin", "replicas", "probes", "tls",
     "password", "soak", "observe", "stage", "participants", "approval", "gates", "soek", 0, 1]
)  # fmt: skip
_wrong = json_values | st.sampled_from(
    [PASSWORD, [PASSWORD], {"password": PASSWORD}, 10**30, 1.0, "", "-1h", "1h\n", "postgres"]
)


@st.composite
def careless(draw: st.DrawFn, sound: st.SearchStrategy[Any] = careful) -> Any:
    """Draw a document with one to three values replaced, removed or added somewhere."""
    document = draw(sound)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = document
        for step in draw(st.sampled_from(_PATHS)):
            try:
                place = place[step]
            except (KeyError, IndexError, TypeError):
                break
        key = draw(_KEYS | any_text)
        if isinstance(place, dict) and isinstance(key, str):
            if draw(st.booleans()):
                place[key] = draw(_wrong)
            else:
                place.pop(key, None)
        elif isinstance(place, list) and isinstance(key, int) and key < len(place):
            place[key] = draw(_wrong)
    return document
