import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rotation
from rotation import registry
from rotation.model.errors import BadPluginError, MissingLibraryError
from rotation.model.plugin import GateSpec, ParticipantSpec
from rotation.policies.policy import FaultyPolicyError, decode_policy
from rotation.registry import Plugins

PLUGIN = """
from dataclasses import dataclass
from rotation.model.permission import NotNeeded, On, Permission, FailureMode
from rotation.model.plugin import GateSpec, ParticipantSpec

@dataclass(frozen=True)
class Settings:
    pass

class Plugin:
    spec = ParticipantSpec({spec}, settings=Settings)

PARTICIPANT = Plugin
"""
GOOD = (
    'name="{name}", title="A title", does="something", network=("nowhere",), '
    'permissions_not_needed=(NotNeeded("all", "why"),), failure_modes=(FailureMode("it", "so"),)'
)

PARTICIPANT = ("PARTICIPANT", ParticipantSpec)


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
    importlib.invalidate_caches()


def loaded(package: ModuleType) -> set[str]:
    return {
        name.partition(".")[2] for name in sys.modules if name.startswith(f"{package.__name__}.")
    }


def test_every_plugin_that_is_there_is_fit_to_be_used() -> None:
    assert registry.faults() == []
    assert {
        ("issuer", "postgresql"),
        ("issuer", "redis"),
        ("issuer", "value"),
        ("participant", "git"),
        ("gate", "http"),
    } <= {(kind, spec.name) for kind, spec in registry.specs()}


def test_a_file_adds_a_plugin(package: ModuleType) -> None:
    add(package, "my_own", PLUGIN.format(spec=GOOD.format(name="my-own")))
    plugins = registry.participants(package)
    assert list(plugins) == ["my-own"]
    assert plugins["my-own"].spec.title == "A title"


def test_a_folder_is_a_plugin_too(package: ModuleType) -> None:
    folder = Path(package.__path__[0]) / "one"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN.format(spec=GOOD.format(name="one")))
    assert list(registry.participants(package)) == ["one"]
    assert registry.participants(package)["one"].spec.name == "one"


def test_only_the_plugin_that_is_named_is_imported(package: ModuleType) -> None:
    add(package, "one", PLUGIN.format(spec=GOOD.format(name="one")))
    add(package, "broken", "raise SystemExit('imported')")
    plugins = registry.participants(package)
    settings = registry.kinds(registry.issuers(), plugins, registry.gates()).participants
    for names in (plugins, settings):
        assert sorted(names) == ["broken", "one"]
        assert len(names) == 2
        assert "broken" in names
        assert "absent" not in names
    assert loaded(package) == set()
    assert settings["one"] is plugins["one"].spec.settings
    assert loaded(package) == {"one"}


@pytest.mark.parametrize(
    "name",
    [
        "_helper",
        "-helper",
        "One",
        "one.two",
        "../one",
        "one/two",
        "a_b",
        "a--b",
        "a-",
        "1a",
        "",
        "é",
    ],
)
def test_what_cannot_be_a_name_is_never_imported(package: ModuleType, name: str) -> None:
    for module in ("_helper", "One", "one", "a_b", "a__b", "a_", "é"):
        add(package, module, PLUGIN.format(spec=GOOD.format(name=name)))
    plugins = registry.participants(package)
    assert name not in plugins
    with pytest.raises(KeyError):
        plugins[name]
    assert loaded(package) == set()


@pytest.mark.parametrize("name", [None, 1, ["one"]])
def test_what_is_not_text_is_no_name(package: ModuleType, name: object) -> None:
    assert name not in registry.participants(package)


def test_a_plugin_is_called_what_its_module_is_called(package: ModuleType) -> None:
    add(package, "two", PLUGIN.format(spec=GOOD.format(name="one")))
    with pytest.raises(BadPluginError, match=r"two\.py: its spec is named 'one'.*name='two'"):
        registry.participants(package)["two"]


def test_a_file_and_a_folder_of_one_name_are_a_fault(package: ModuleType) -> None:
    add(package, "one", PLUGIN.format(spec=GOOD.format(name="one")))
    folder = Path(package.__path__[0]) / "one"
    folder.mkdir()
    (folder / "__init__.py").write_text(PLUGIN.format(spec=GOOD.format(name="one")))
    (fault,) = registry.participants(package).faults()
    assert "one.py and" in str(fault)
    assert "one name, two plugins" in str(fault)


@pytest.mark.parametrize("module", ["One", "a__b", "a_"])
def test_a_module_that_no_policy_can_name_is_a_fault(package: ModuleType, module: str) -> None:
    add(package, module, PLUGIN.format(spec=GOOD.format(name="x")))
    (fault,) = registry.participants(package).faults()
    assert f"{module}.py: no policy can name it; rename it" in str(fault)


GOOD_BAD = PLUGIN.format(spec=GOOD.format(name="bad"))
BAD = {
    "empty": ("", "exposes no PARTICIPANT; add: PARTICIPANT ="),
    "no spec": ("PARTICIPANT = object", "its spec is not a ParticipantSpec; add to the class"),
    "undocumented": (
        PLUGIN.format(spec='name="bad", title="", does=""'),
        r"says nothing for title, does, .*; add title= \(one line\); does= \(what it changes",
    ),
    "says nothing of permissions": (
        GOOD_BAD.replace('permissions_not_needed=(NotNeeded("all", "why"),), ', ""),
        r"says nothing for permissions_not_needed; add .*: NotNeeded\(WHAT, WHY\)",
    ),
    "a permission as prose": (
        GOOD_BAD.replace("title=", 'permissions=("versions.access on the token",), title='),
        r"does not say what it is for; write Permission\(NAME, On.PLACE, WHY\)",
    ),
    "a permission without a reason": (
        GOOD_BAD.replace("title=", 'permissions=(Permission("a.b.c", On.PROJECT, ""),), title='),
        r"does not say what it is for; write Permission\(NAME, On.PLACE, WHY\)",
    ),
    "settings": (
        GOOD_BAD.replace("settings=Settings", "settings=int"),
        r"settings are not a dataclass; put @dataclass\(frozen=True\) above them",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_plugin_is_refused_naming_its_file_and_what_to_add(
    package: ModuleType, kind: str
) -> None:
    text, fault = BAD[kind]
    add(package, "bad", text)
    with pytest.raises(BadPluginError, match=rf"bad\.py: .*{fault}"):
        registry.participants(package)["bad"]


BROKEN = {
    "a library": (
        "import no_such_library",
        r"the library no_such_library is not installed; .* pip install 'rotation\[broken\]'",
    ),
    "a module of ours": (
        "import rotation.no_such_module",
        r"ModuleNotFoundError in .*broken\.py, line 1; repair it",
    ),
    "syntax": ("x = 1\nif:", r"SyntaxError in .*broken\.py, line 2; repair it"),
    "an error": (
        "x = 1\n\nraise ValueError('p4ssw0rd')",
        r"ValueError in .*broken\.py, line 3; repair it",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_plugin_that_cannot_be_loaded_says_why_and_is_in_nobody_elses_way(
    package: ModuleType, kind: str
) -> None:
    text, fault = BROKEN[kind]
    add(package, "broken", text)
    add(package, "one", PLUGIN.format(spec=GOOD.format(name="one")))
    plugins = registry.participants(package)
    with pytest.raises(
        BadPluginError, match=f"someplugins.broken cannot be loaded: {fault}"
    ) as bad:
        plugins["broken"]
    assert "p4ssw0rd" not in str(bad.value)
    assert isinstance(bad.value, MissingLibraryError) == (kind == "a library")
    assert plugins["one"].spec.name == "one"
    assert len(list(plugins.faults())) == 1


def test_all_faults_are_reported_at_once(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, text in (("Odd", ""), ("empty", ""), ("syntax", "if:")):
        add(package, module, text)
    monkeypatch.setattr(registry, "participants", lambda: Plugins(package, *PARTICIPANT))
    with pytest.raises(BadPluginError) as bad:
        registry.specs()
    assert len(str(bad.value).splitlines()) == 3


#: What the process has loaded of plugins: after its start, and after a first policy was read.
_START = """
import sys, json
import main
from rotation.policies.policy import decode_policy
kinds = main._application._worker._parts.plugins.kinds
def plugins():
    names = [name.split(".")[1:3] for name in sys.modules if name.startswith("rotation.")]
    packages = {"issuers", "participants", "gates"}
    return sorted({".".join(name) for name in names if len(name) == 2 and name[0] in packages
                   and not name[1].startswith("_")})
before = plugins()
decode_policy(sys.argv[1], kinds)
print(json.dumps([before, plugins()]))
"""


def test_the_function_loads_the_plugins_that_its_documents_name_and_no_other(
    tmp_path: Path,
) -> None:
    target = {"kind": "postgresql", "host": "h", "database": "d", "roles": ["*"], "owners": ["o"],
              "admin": "projects/p/secrets/s", "secrets": ["projects/acme/secrets/*"]}  # fmt: skip
    issuer = {"kind": "postgresql", "target": "db", "slots": ["a", "b"], "owner": "o"}
    file = tmp_path / "targets.json"
    file.write_text(json.dumps({"targets": {"db": target}}))
    done = subprocess.run(
        [sys.executable, "-c", _START, json.dumps({"issuer": issuer})],
        cwd=Path(rotation.__file__).parent.parent,
        env={
            "PATH": os.defpath,
            "ROTATION_PROJECT": "acme",
            "ROTATION_TARGETS": str(file),
            "ROTATION_PUSH_AUDIENCE": "https://rotation.example",
            "ROTATION_PUSH_ACCOUNT": "push@acme.iam.gserviceaccount.com",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    named = ["issuers.postgresql"]
    assert json.loads(done.stdout) == [named, [*named, "participants.alias"]]


KEYS = """
from dataclasses import dataclass
from rotation.model.permission import FailureMode, NotNeeded
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
    assert registry.issuers(package)["keys"].spec.name == "keys"


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
def test_an_issuer_whose_spec_and_class_disagree_is_refused(
    package: ModuleType, text: str, fault: str
) -> None:
    add(package, "keys", text)
    with pytest.raises(BadPluginError, match=rf"keys\.py: .*{fault}"):
        registry.issuers(package)["keys"]


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
    settings = {"target": "usage"} if gate == "consumers" else {}
    stage = {
        "stage": "all",
        "participants": [{"kind": "alias"}],
        "gates": [{"kind": gate, **settings}],
    }
    text = json.dumps({"issuer": {"kind": issuer}, "rollout": [stage]})
    found = ""
    try:
        decode_policy(text, kinds.looking())
    except FaultyPolicyError as error:
        found = str(error)
    assert ("value cannot show who uses a credential" in found) is faulty
    assert bool(found) is faulty, found


TOUCHING = """
from dataclasses import dataclass
from rotation.model.target import TargetSettings
from rotation.model.permission import NotNeeded, FailureMode
from rotation.model.plugin import GateSpec, ParticipantSpec

@dataclass(frozen=True)
class Target(TargetSettings):
    pass

@dataclass(frozen=True)
class Settings({base}):
    pass

class Plugin:
    spec = {kind}Spec({spec}, settings=Settings)

{attribute} = Plugin
"""


@pytest.mark.parametrize(("base", "refused"), [("Target", True), ("object", False)])
def test_name_of_two_plugins_is_refused_where_a_target_may_be_of_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    refused: bool,  # noqa: FBT001
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    found: list[tuple[str, Plugins[Any]]] = []
    for kind in ("Gate", "Participant"):
        name = f"twice_{base.lower()}_{kind.lower()}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        spec = GOOD.format(name="same")
        own = base if kind == "Gate" else "object"
        text = TOUCHING.format(base=own, kind=kind, spec=spec, attribute=kind.upper())
        (tmp_path / name / "same.py").write_text(text)
        importlib.invalidate_caches()
        package = importlib.import_module(name)
        spec_type = GateSpec if kind == "Gate" else ParticipantSpec
        found.append((kind.lower(), Plugins(package, kind.upper(), spec_type)))
    monkeypatch.setattr(registry, "_all", lambda: found)
    messages = [str(fault) for fault in registry.faults()]
    assert bool(messages) is refused
    assert all("gate and participant are both called 'same'" in text for text in messages)
