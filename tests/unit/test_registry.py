import sys
from pathlib import Path
from types import ModuleType

import pytest

from rotation import registry
from rotation.registry import BadPluginError

PLUGIN = """
from dataclasses import dataclass
from rotation.model.plugin import ParticipantSpec

@dataclass(frozen=True)
class Settings:
    pass

class Plugin:
    spec = ParticipantSpec({spec}, settings=Settings)

PARTICIPANT = Plugin
"""
GOOD = 'name="{name}", title="A title", changes="something"'


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
    assert set(registry.issuers()) == {"postgresql"}
    assert set(registry.participants()) == {"alias", "git"}


def test_a_file_adds_a_plugin(package: ModuleType) -> None:
    add(package, "one", PLUGIN.format(spec=GOOD.format(name="one")))
    assert set(registry.participants(package)) == {"one"}


def test_two_plugins_of_one_name_are_refused_with_both_files(package: ModuleType) -> None:
    for module in ("one", "two"):
        add(package, module, PLUGIN.format(spec=GOOD.format(name="same")))
    with pytest.raises(BadPluginError, match=r"one\.py and .*two\.py: both are named 'same'"):
        registry.participants(package)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "exposes no PARTICIPANT"),
        ("PARTICIPANT = object", "spec is not a ParticipantSpec"),
        (PLUGIN.format(spec='name="x", title="", changes=""'), "says nothing for title, changes"),
        (
            PLUGIN.format(spec=GOOD.format(name="x")).replace("settings=Settings", "settings=int"),
            "settings are not a dataclass",
        ),
    ],
    ids=["empty", "no spec", "undocumented", "settings"],
)
def test_a_bad_plugin_fails_the_start_and_names_its_file(
    package: ModuleType, text: str, fault: str
) -> None:
    add(package, "bad", text)
    with pytest.raises(BadPluginError, match=rf"bad\.py: .*{fault}"):
        registry.participants(package)
