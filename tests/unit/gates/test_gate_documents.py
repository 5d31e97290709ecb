"""deploy/docs/gates.md and consumers.md say what the code does."""

import ast
import json
import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import rotation
from rotation.client import report
from rotation.gates import consumers, http, prometheus, sessions
from rotation.gates._fetch import LOOK_SECONDS
from rotation.gates._reach import Reach
from rotation.gates._reports import Report, read_report
from rotation.gates.http import HttpSettings
from rotation.kit.net.exchange import Reply
from rotation.model.consumer import CONTRACT, Held, Trouble
from rotation.model.names import SecretName
from rotation.model.policy import PluginChoice
from rotation.policies.choosing import Asking, read_choice
from rotation.policies.targets import decode_targets
from rotation.policies.typed import Fault

DOCS = Path(rotation.__file__).parent.parent / "deploy" / "docs"
GATES = {gate.GATE.spec.name: gate.GATE.spec for gate in (sessions, http, prometheus, consumers)}
SHARED = {field.name for field in fields(Reach)}


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / document).read_text(), re.DOTALL)


def examples() -> list[dict[str, Any]]:
    read = [yaml.safe_load(block) for block in blocks("gates.md", "yaml")]
    stages = [stage for document in read for stage in document.get("rollout", [])]
    in_stages = [gate for stage in stages for gate in stage["gates"]]
    return in_stages + [document["gate"] for document in read if "gate" in document]


def targets() -> dict[str, Any]:
    read = [yaml.safe_load(block) for block in blocks("gates.md", "yaml")]
    return {name: one for document in read for name, one in document.items() if "secrets" in one}


@pytest.mark.parametrize("example", examples(), ids=lambda example: example["kind"])
def test_every_example_is_a_policy(example: dict[str, Any]) -> None:
    faults: list[Fault] = []
    records = {kind: spec.settings for kind, spec in GATES.items()}
    asking = Asking(decode_targets({"targets": targets()}, records), SecretName("acme", "orders"))
    read_choice(PluginChoice, example, records, asking, "gate", faults)
    assert faults == []


@pytest.mark.parametrize("name", GATES)
def test_every_setting_is_described(name: str) -> None:
    section = (DOCS / "gates.md").read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]
    names = {field.name for field in fields(GATES[name].settings)} - {"url"}
    if name in {"prometheus", "consumers"}:
        assert "those of `http`" in section
        names -= SHARED
    assert [field for field in sorted(names) if f"{field}:" not in section] == []


def test_defaults_are_the_ones_described() -> None:
    text = (DOCS / "gates.md").read_text()
    assert Reach().timeout == timedelta(seconds=5)
    assert text.count("timeout: 5s ") == 2
    assert f"within {LOOK_SECONDS:.0f} seconds" in text
    assert HttpSettings(url="https://x.test").unreachable == "wait"


def test_the_example_of_the_contract_is_read() -> None:
    (block,) = blocks("consumers.md", "json")
    read = read_report(
        Reply(200, block.encode()), SecretName("acme", "orders"), lambda _project: None
    )
    assert isinstance(read, Report)
    (usage,) = read.usages
    assert usage.held == Held(6, "r20260427-120000-k3v9")
    assert usage.failure is not None
    assert (usage.failure.held, usage.failure.trouble) == (Held(7), Trouble.REFUSED)


def test_every_word_of_the_contract_is_described() -> None:
    text = (DOCS / "consumers.md").read_text()
    keys = {*json.loads(blocks("consumers.md", "json")[0]), *report()}
    words = {CONTRACT, *keys, *(trouble.value for trouble in Trouble)}
    assert [word for word in sorted(words) if f"`{word}`" not in text] == []


@pytest.mark.parametrize("block", blocks("consumers.md", "python"))
def test_every_example_names_what_is_there(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("rotation"):
            module = __import__(str(node.module), fromlist=["_"])
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_links_lead_somewhere() -> None:
    for document in ("gates.md", "consumers.md"):
        for target in re.findall(r"\]\((?!http)([^)#]*)", (DOCS / document).read_text()):
            assert not target or (DOCS / target).exists()
