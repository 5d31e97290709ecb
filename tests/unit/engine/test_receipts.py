"""Receipts as the engine leaves them, and the lines it writes."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec.structs import replace

from rotation.engine import codec, events
from rotation.engine.crashpoints import CrashPoint
from rotation.machine import chain, receipts
from rotation.machine.chain import Entry, Fault
from rotation.model.errors import TemporaryError
from rotation.model.version import VERSION
from rotation.model.wakeup import Ask

from .world import NAME, Killed, World

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "deploy/docs/receipt.schema.json").read_text())


def rotated(times: int) -> World:
    world = World()
    for _ in range(times):
        world.clock.advance(hours=1)
        world.worker().tick(world.scheduled())
        world.settle()
    return world


def held(world: World) -> list[Entry]:
    return chain.on_secret(str(NAME), *codec.receipts_of(world.store.secret))


def logged(world: World) -> list[dict[str, Any]]:
    return [{"secret": str(NAME), **line} for line in world.journal.events_named("receipt")]


def exported(world: World) -> list[dict[str, Any]]:
    kept = ("schema", "secret", "sequence", "digest", "receipt", "seconds")
    return [{key: line[key] for key in kept} for line in logged(world)]


def faults(world: World, lines: list[Any]) -> list[Fault]:
    entries, found = [], []
    for number, line in enumerate(lines, start=1):
        read = chain.read_line(json.dumps(line), f"line {number}")
        if isinstance(read, Entry):
            entries.append(read)
        elif read:
            found.append(read)
    return found + chain.verify(str(NAME), held(world), entries)


def kinds(found: list[Fault]) -> set[tuple[str, str]]:
    return {(fault.place, fault.kind) for fault in found}


@pytest.fixture(scope="module")
def world() -> World:
    return rotated(12)


def test_a_receipt_says_who_asked_what_was_proved_and_how_long_it_took() -> None:
    world = World()
    world.worker().tick(world.asked(Ask.EMERGENCY))
    world.settle()
    (line,) = exported(world)
    form = line["receipt"]
    assert form["requested_by"] == "sre"
    assert form["verified"] == {"nodes": ["memory"], "identity": "owner"}
    assert form["software"] == VERSION
    assert form["policy_digest"]
    assert form["token"]
    assert "revoked" in line["seconds"]
    jsonschema.validate(line, SCHEMA)


def test_receipts_are_numbered_and_each_names_the_one_before(world: World) -> None:
    forms = [line["receipt"] for line in exported(world)]
    assert [form["sequence"] for form in forms] == list(range(1, 13))
    assert [form.get("before", "") for form in forms[1:]] == [
        receipts.digest_of(form) for form in forms[:-1]
    ]
    for line in exported(world):
        jsonschema.validate(line, SCHEMA)
    assert len(codec.receipts_of(world.store.secret)[1]) == receipts.KEPT


def test_sound_receipts_have_no_fault(world: World) -> None:
    for lines in (exported(world), exported(world)[::-1], logged(world), []):
        assert faults(world, lines) == []


def test_the_log_may_repeat_a_receipt_and_comes_with_a_wrapper(world: World) -> None:
    lines = logged(world)
    as_doubles = json.loads(json.dumps(lines), parse_int=float)
    wrapped = [{"insertId": "x", "jsonPayload": double} for double in as_doubles]
    assert faults(world, [*wrapped[:3], wrapped[2], *wrapped[3:]]) == []


def test_a_changed_line_is_named(world: World) -> None:
    lines = exported(world)
    lines[4]["receipt"] = {**lines[4]["receipt"], "requested_by": "nobody"}
    assert kinds(faults(world, lines)) == {("line 5", "changed")}


def test_a_changed_line_with_a_digest_to_match_is_named(world: World) -> None:
    lines = exported(world)[:4]  # older than what the secret holds of them
    form = {**lines[1]["receipt"], "requested_by": "nobody"}
    lines[1] = {**lines[1], "receipt": form, "digest": receipts.digest_of(form)}
    assert kinds(faults(world, lines)) == {("line 2", "changed")}


def test_a_changed_number_is_named(world: World) -> None:
    lines = exported(world)
    lines[0]["sequence"] = 40
    assert ("line 1", "changed") in kinds(faults(world, lines))


def test_a_line_that_is_missing_is_named(world: World) -> None:
    lines = exported(world)
    del lines[1]
    assert kinds(faults(world, lines)) == {("line 2", "gap")}


def test_a_line_in_the_wrong_place_is_named(world: World) -> None:
    lines = exported(world)
    lines[2], lines[6] = lines[6], lines[2]
    assert {kind for _, kind in kinds(faults(world, lines))} == {"order"}


def test_a_line_of_another_secret_is_named(world: World) -> None:
    lines = exported(world)
    other = {**lines[3], "secret": "projects/123456789012/secrets/other"}
    assert ("line 4", "foreign") in kinds(faults(world, [*lines[:3], other, *lines[4:]]))


def test_a_line_made_to_look_like_ours_is_named(world: World) -> None:
    lines = exported(world)
    form = {**lines[3]["receipt"], "secret": "projects/123456789012/secrets/other"}
    lines[3] = {**lines[3], "receipt": form, "digest": receipts.digest_of(form)}
    assert ("line 4", "foreign") in kinds(faults(world, lines))


def test_a_line_that_stands_twice_in_an_export_is_named(world: World) -> None:
    lines = exported(world)
    assert kinds(faults(world, [*lines, lines[-1]])) == {("line 13", "repeated")}


def test_a_secret_that_was_put_back_is_seen(world: World) -> None:
    lines = exported(world)
    older = chain.on_secret(str(NAME), *codec.receipts_of(rotated(1).store.secret))
    entries = [chain.read_line(json.dumps(line), "line") for line in lines]
    found = chain.verify(str(NAME), older, [entry for entry in entries if isinstance(entry, Entry)])
    assert "ahead" in {fault.kind for fault in found}


def test_a_line_that_is_not_a_receipt_is_reported_or_left_out(world: World) -> None:
    assert kinds(faults(world, [["x"]])) == {("line 1", "unreadable")}
    assert faults(world, [{"message": "settled"}]) == []


def test_a_history_changed_on_the_secret_is_named() -> None:
    world = rotated(4)
    last, before = codec.receipts_of(world.store.secret)
    forged = (replace(before[0], outcome="aborted", digest="0" * 64), *before[1:])
    found = chain.verify(str(NAME), chain.on_secret(str(NAME), last, forged), [])
    assert kinds(found) == {("annotation rotation.history, entry 1", "changed")}


def test_a_receipt_from_before_they_were_numbered_is_read_and_followed() -> None:
    world = rotated(1)
    old = {key: world.receipt[key] for key in ("id", "outcome", "mode", "started_at", "settled_at")}
    text = json.dumps({**old, "current": 2, "last": 2})
    notes = {**world.store.secret.annotations, "rotation.receipt": text}
    world.store.touch(annotations=notes)
    world.clock.advance(days=1)
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.receipt["sequence"] == 1
    assert chain.verify(str(NAME), held(world), []) == []


def test_cleaning_up_orphans_leaves_the_chain_whole() -> None:
    world = rotated(1)
    receipt, _ = codec.receipts_of(world.store.secret)
    assert receipt
    assert receipts.digest(replace(receipt, last=9, copies=(9,))) == receipts.digest(receipt)


def test_old_receipts_give_way_where_annotations_have_no_room() -> None:
    world = rotated(9)
    notes = dict(world.store.secret.annotations)
    taken = sum(len(key) + len(value.encode()) for key, value in notes.items())
    notes["theirs"] = "x" * (codec.MAX_ANNOTATION_BYTES - taken)
    world.store.touch(annotations=notes)
    world.clock.advance(days=1)
    world.worker().tick(world.scheduled())
    world.settle()
    _, before = codec.receipts_of(world.store.secret)
    assert world.receipt["outcome"] == "rotated"
    assert len(before) < receipts.KEPT
    assert chain.verify(str(NAME), held(world), []) == []


def test_unreadable_history_stands_in_nobodys_way() -> None:
    world = rotated(1)
    notes = {**world.store.secret.annotations, "rotation.history": "{"}
    world.store.touch(annotations=notes)
    world.clock.advance(days=1)
    world.worker().tick(world.scheduled())
    world.settle()
    assert world.receipt["sequence"] == 2


def test_a_receipt_is_logged_once_and_again_where_its_worker_died() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    message = world.woken()
    for _ in range(60):
        world.clock.advance(minutes=30)
        message = world.woken()
        if "rotation_phase" in world.labels and '"revoked_at"' in json.dumps(
            world.store.secret.annotations
        ).replace("\\", ""):
            break
        world.worker().tick(message)
    world.clock.advance(hours=13)
    with pytest.raises(Killed):
        world.worker(CrashPoint.COMMITTED).tick(message)
    assert world.journal.events_named("receipt") == []
    world.worker().tick(message)
    assert len(world.journal.events_named("receipt")) == 1


def test_an_emergency_that_overtakes_counts_its_own_time() -> None:
    world = World()
    world.worker().tick(world.scheduled())
    world.clock.advance(minutes=30)
    world.worker().tick(world.asked(Ask.EMERGENCY))
    world.settle()
    first, second = exported(world)
    assert first["seconds"]["revoked"] == 0
    assert second["receipt"]["mode"] == "emergency"
    assert len(world.journal.events_named("emergency-started")) == 1


def test_failures_in_a_row_are_counted_and_become_an_error() -> None:
    world = World()
    message = world.scheduled()

    def fail(effect: str) -> None:
        if effect == "mint":
            raise TemporaryError("no route to host")

    world.issuer.trouble = staticmethod(fail)
    for _ in range(6):
        with pytest.raises(TemporaryError):
            world.worker().tick(message)
    failing = world.journal.events_named("failing")
    assert [line["failures"] for line in failing] == [1, 2, 3, 4, 5, 6]
    assert [line["severity"] for line in failing][3:5] == ["WARNING", "ERROR"]
    world.issuer.trouble = staticmethod(lambda _: None)
    world.worker().tick(message)
    assert '"failures"' not in world.store.secret.annotations["rotation.record"]


def test_drift_has_an_event_of_its_own() -> None:
    world = rotated(1)
    world.issuer.roles["app_b"].password = "changed"
    world.worker().tick(world.woken("check"))
    assert world.journal.events_named("drift")[0]["severity"] == "ERROR"
    world.worker().sweep()
    assert world.journal.events_named("blocked")[0]["error"] == "drift"


def test_every_event_is_documented_and_no_other() -> None:
    page = (ROOT / "deploy/docs/logs.md").read_text()
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert documented - {"event"} == {event.value for event in events.Event}


def test_the_release_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
