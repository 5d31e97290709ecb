import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rotation import registry
from rotation.policies.policy import FaultyPolicyError, decode_policy
from rotation.registry import BadPluginError

PLUGIN = """
from dataclasses import dataclass
from rotation.model.permission import NotNeeded, On, Permission, Setback
from rotation.model.plugin import ParticipantSpec

@dataclass(frozen=True)
class Settings:
    pass

class Plugin:
    spec = ParticipantSpec({spec}, settings=Settings)

PARTICIPANT = Plugin
"""
GOOD = (
    'name="{name}", title="A title", does="something", network=("nowhere",), '
    'permissions_not_needed=(NotNeeded("all", "why"),), setbacks=(Setback("seen", "then"),)'
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    folder = tmp_path / "someplugins"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("someplugins")]:
        monkeypatch.delitem(sys.modules, name)
    import someplugins  # type: ignore[import-not-found]  # noqa: PLC0415

    assert isinstance(someplugins, ModuleType)
    return someplugins


def add(package: ModuleType, module: str, text: str) -> None:
    (Path(package.__path__[0]) / f"{module}.py").write_text(text)


def test_the_plugins_that_are_there_are_found() -> None:
    assert set(registry.issuers()) == {"postgresql", "value"}
    assert set(registry.participants()) == {"alias", "git"}


def test_a_file_adds_a_plugin(package: ModuleType) -> None:
    add(package, "one", PLUGIN.format(spec=GOOD.format(name="one")))
    assert set(registry.participants(package)) == {"one"}


def test_two_plugins_of_one_name_are_refused_with_both_files(package: ModuleType) -> None:
    for module in ("one", "two"):
        add(package, module, PLUGIN.format(spec=GOOD.format(name="same")))
    with pytest.raises(BadPluginError, match=r"one\.py and .*two\.py: both are named 'same'"):
        registry.participants(package)


GOOD_X = PLUGIN.format(spec=GOOD.format(name="x"))
BAD = {
    "empty": ("", "exposes no PARTICIPANT; add: PARTICIPANT ="),
    "no spec": ("PARTICIPANT = object", "its spec is not a ParticipantSpec; add to the class"),
    "undocumented": (
        PLUGIN.format(spec='name="x", title="", does=""'),
        r"says nothing for title, does, .*; add title= \(one line\); does= \(what it changes",
    ),
    "says nothing of permissions": (
        GOOD_X.replace('permissions_not_needed=(NotNeeded("all", "why"),), ', ""),
        r"says nothing for permissions_not_needed; add .*: NotNeeded\(WHAT, WHY\)",
    ),
    "a permission as prose": (
        GOOD_X.replace("title=", 'permissions=("versions.access on the token",), title='),
        r"does not say what it is for; write Permission\(NAME, On.PLACE, WHY\)",
    ),
    "a permission without a reason": (
        GOOD_X.replace("title=", 'permissions=(Permission("a.b.c", On.PROJECT, ""),), title='),
        r"does not say what it is for; write Permission\(NAME, On.PLACE, WHY\)",
    ),
    "settings": (
        GOOD_X.replace("settings=Settings", "settings=int"),
        r"settings are not a dataclass; put @dataclass\(frozen=True\) above them",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_plugin_fails_the_start_naming_its_file_and_what_to_add(
    package: ModuleType, kind: str
) -> None:
    text, fault = BAD[kind]
    add(package, "bad", text)
    with pytest.raises(BadPluginError, match=rf"bad\.py: .*{fault}"):
        registry.participants(package)


KEYS = """
from dataclasses import dataclass
from rotation.model.permission import NotNeeded, Setback
from rotation.model.plugin import Capabilities, Fence, IssuerSpec, MadeBy

@dataclass(frozen=True)
class Settings:
    pass

class Keys:
    spec = IssuerSpec({spec}, settings=Settings, capabilities=Capabilities(
        overlap={overlap}, fence=Fence.KEY_ID, made_by=MadeBy.{made_by}, suspends={suspends},
        sees_use=False,
    ))

ISSUER = Keys
"""


def keys(*, overlap: bool = True, made_by: str = "THEIRS", suspends: bool = False) -> str:
    spec = GOOD.format(name="keys")
    return KEYS.format(spec=spec, overlap=overlap, made_by=made_by, suspends=suspends)


def test_an_issuer_whose_class_has_what_its_spec_declares_is_found(package: ModuleType) -> None:
    add(package, "keys", keys())
    assert set(registry.issuers(package)) == {"keys"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (keys(suspends=True), "declares what Suspends .* lacks those methods"),
        (keys(made_by="OURS"), "declares what Composes .* lacks those methods"),
        (
            keys().replace("ISSUER =", "Keys.handles = Keys.observe = print\nISSUER ="),
            "does not declare what SeesUse .* has those methods",
        ),
        (keys(overlap=False), "cannot rotate without overlap"),
    ],
)
def test_an_issuer_whose_spec_and_class_disagree_fails_the_start(
    package: ModuleType, text: str, fault: str
) -> None:
    add(package, "keys", text)
    with pytest.raises(BadPluginError, match=rf"keys\.py: .*{fault}"):
        registry.issuers(package)


@pytest.mark.parametrize(
    ("issuer", "gate", "faulty"),
    [
        ("value", "sessions", True),
        ("value", "consumers", False),
    ],
)
def test_a_gate_that_asks_who_uses_what_is_refused_where_the_issuer_cannot_show_it(
    issuer: str, gate: str, *, faulty: bool
) -> None:
    kinds = registry.kinds(registry.issuers(), registry.participants(), registry.gates())
    settings = {"urls": ["https://shop.example/usage"]} if gate == "consumers" else {}
    stage = {
        "stage": "all",
        "participants": [{"kind": "alias"}],
        "gates": [{"kind": gate, **settings}],
    }
    text = json.dumps({"issuer": {"kind": issuer}, "rollout": [stage]})
    found = ""
    try:
        decode_policy(text, kinds)
    except FaultyPolicyError as error:
        found = str(error)
    assert ("value cannot show who uses a credential" in found) is faulty
    assert bool(found) is faulty, found
