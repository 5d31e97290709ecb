"""What must be true when the reader has followed a page to the end of a heading."""

import re
from collections.abc import Callable
from typing import Final

from tests.documents.misfortunes import BLOCKED
from tests.documents.world import World

Promise = Callable[[World], None]
FLEET: Final = 50


def nothing(_world: World) -> None:
    """Promise nothing."""


def _not_blocked(name: str) -> Promise:
    def look(world: World) -> None:
        labels = world.secret(name).get("labels", {})
        assert "rotation_blocked" not in labels, (name, labels)
        assert world.log_in(name) == "orders_owner"

    return look


def _fleet_rotated(world: World) -> None:
    found = world.rotation("status")["secrets"]
    mine = [entry for entry in found if re.search(r"/orders-\d\d$", entry["secret"])]
    assert len(mine) == FLEET
    assert {entry["current"] for entry in mine} == {2}
    assert not [entry["secret"] for entry in mine if entry["needs_a_person"]]


def _fleet_in_emergency(world: World) -> None:
    found = world.rotation("status")["secrets"]
    mine = [entry for entry in found if re.search(r"/orders-\d\d$", entry["secret"])]
    assert len(mine) == FLEET
    late = [
        entry["secret"]
        for entry in mine
        if not (entry["rotation"] or entry["last"])
        or (entry["rotation"] or entry["last"])["mode"] != "emergency"
        or not (entry["rotation"] or entry["last"])["revoked_at"]
    ]
    assert late == []


def _taken_back(name: str) -> Promise:
    def look(world: World) -> None:
        (found,) = world.rotation("status", name)["secrets"]
        assert found["last"]["outcome"] == "reverted", found
        assert found["current"] == found["last"]["current"]
        assert world.log_in(name) == "orders_owner"

    return look


def _shop_rotated(world: World) -> None:
    (found,) = world.rotation("status", "shop")["secrets"]
    assert (found["phase"], found["current"], found["last"]["outcome"]) == ("settled", 2, "rotated")
    assert world.log_in("shop") == "shop_owner"


def _by_hand(world: World) -> None:
    """Break-glass is over: the function has rotated again, and every token fits."""
    (found,) = world.rotation("status", "orders-40")["secrets"]
    assert not found["needs_a_person"]
    assert found["rotation"]["reason"] == "first rotation after break-glass"
    assert world.log_in("orders-40") == "orders_owner"
    token = int(world.secret("orders-40")["labels"]["rotation_token"])
    marks = world.rows(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname LIKE 'orders_40__'"
    )
    tokens = [int(re.findall(r"token=(\d+)", str(mark))[0]) for (mark,) in marks]
    assert len(tokens) == 2
    assert max(tokens) <= token


def _old_one_is_dead(world: World) -> None:
    """Step 8: exactly one of the two logins is left."""
    rows = world.rows(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'orders_40__' AND rolcanlogin"
    )
    assert len(rows) == 1
    assert world.log_in("orders-40") == "orders_owner"


def _given_up(world: World) -> None:
    (found,) = world.rotation("status", "orders-40")["secrets"]
    assert (found["phase"], found["needs_a_person"]) == ("settled", False)
    assert world.log_in("orders-40") == "orders_owner"


def _nothing_left_of_one(world: World) -> None:
    found = world.secret("shop")
    left = {
        key for kind in ("labels", "annotations", "versionAliases") for key in found.get(kind, {})
    }
    assert left == {"db"}
    assert "rotation" not in found
    assert "topics" not in found
    assert world.call("GET", "/shop:getIamPolicy").get("bindings", []) == []


def _no_role_left(world: World) -> None:
    rows = world.rows(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles"
        " WHERE rolname IN ('shop_a', 'shop_b')"
    )
    assert rows == [(None,)]


def _no_rotator(world: World) -> None:
    assert world.rows("SELECT 1 FROM pg_roles WHERE rolname = 'shop_rotator'") == []
    held = "SELECT 1 FROM pg_shdepend WHERE refobjid NOT IN (SELECT oid FROM pg_roles)"
    assert world.rows(f"{held} AND refclassid = 'pg_authid'::regclass") == []
    left = [
        stored["name"] for stored in world.call("GET", "")["secrets"] if "shop" in stored["name"]
    ]
    assert [name.rpartition("/")[2] for name in left] == ["shop"]


_PAGES = "deploy/docs"
_UNBLOCKED = {
    "missing-right": "orders-11",
    "wrong-identity": "orders-12",
    "role-not-ours": "orders-13",
    "fence-unreadable": "orders-14",
    "slot-in-use": "orders-15",
    "admin-login-refused": "orders-16",
    "no-connect-right": "orders-17",
    "state-invalid": "orders-18",
    "version-unavailable": "orders-19",
    "pointer-moved": "orders-20",
    "not-allowed": "orders-26",
}
AFTER: Final[dict[tuple[str, str], Promise]] = {
    **{(BLOCKED, heading): _not_blocked(name) for heading, name in _UNBLOCKED.items()},
    (f"{_PAGES}/first-deployment.md", "4-look-then-rotate"): _shop_rotated,
    (f"{_PAGES}/daily-life.md", "a-new-credential-for-the-whole-fleet"): _fleet_rotated,
    (f"{_PAGES}/daily-life.md", "send-consumers-back"): _taken_back("orders-02"),
    (f"{_PAGES}/roll-back.md", "of-a-credential"): nothing,
    (f"{_PAGES}/runbooks/drift.md", "then"): _not_blocked("orders-23"),
    (f"{_PAGES}/runbooks/emergency.md", "to-start-one"): _fleet_in_emergency,
    (f"{_PAGES}/break-glass.md", "8-end-the-old-credential"): _old_one_is_dead,
    (f"{_PAGES}/break-glass.md", "9-let-the-function-go-on"): _by_hand,
    (f"{_PAGES}/break-glass.md", "give-a-stuck-rotation-up"): _given_up,
    (f"{_PAGES}/removal.md", "1-one-secret"): _nothing_left_of_one,
    (f"{_PAGES}/removal.md", "2-its-roles-in-the-database"): _no_role_left,
    (f"{_PAGES}/removal.md", "4-the-rotator"): _no_rotator,
}
