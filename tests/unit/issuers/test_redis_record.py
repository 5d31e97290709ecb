import pytest

from rotation.issuers._keys.book import Book, Key
from rotation.issuers.redis import record
from rotation.issuers.redis.record import User
from rotation.model.errors import StateError

OLD, NEW = "a" * 64, "b" * 64


def shown(**fields: object) -> list[object]:
    body = {"flags": ["off"], "passwords": [], "keys": "", "selectors": [], **fields}
    return [part for pair in body.items() for part in pair]


@pytest.mark.parametrize(
    "key",
    [
        Key("k-old", "live", 1, OLD),
        Key("k-1", "suspended", 3, OLD, "ab12-77"),
        Key("h-1", "revoked", 0),
        Key("k-1", "revoked", 3, OLD[:16]),
        Key("h-1", "revoked", 0, sessions="ab-1"),
    ],
)
def test_a_record_reads_back(key: Key) -> None:
    rules = record.rules_for_record(User(None), Book({key.handle: key}, frozenset()), 7)
    patterns = [rule for rule in rules if rule.startswith("~")]
    mark = next(rule for rule in rules if rule.startswith("#"))
    user = User(shown(keys=" ".join(patterns), passwords=[mark[1:]]))
    assert user.keys == {key.handle: key}
    assert (user.token, user.live) == (7, frozenset())


def test_a_record_that_was_changed_by_hand_is_not_guessed_at() -> None:
    with pytest.raises(StateError):
        _ = User(shown(keys="~k-1:live:version=x")).keys


def test_the_newest_of_several_marks_counts_and_all_of_them_are_taken_away() -> None:
    marks = [record.new_mark(token) for token in (3, 12, 2)]
    user = User(shown(passwords=[*marks, OLD]))
    assert (user.token, user.live) == (12, {OLD})
    rules = record.rules_for_user(user, Book({}, frozenset({NEW})), 13)
    assert set(rules[:4]) == {f"!{digest}" for digest in (*marks, OLD)}
    assert rules[-1] == f"#{NEW}"


def test_marks_are_hashes_that_differ_each_time() -> None:
    one, other = record.new_mark(5), record.new_mark(5)
    assert one != other
    assert len(bytes.fromhex(one)) == 32
