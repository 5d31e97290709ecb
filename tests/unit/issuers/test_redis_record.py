import itertools
from dataclasses import replace

import pytest

from rotation.issuers.redis import record
from rotation.issuers.redis.record import Book, Decision, Key, User
from rotation.model.errors import PermanentError, StateError

OLD, NEW, STRANGER = "a" * 64, "b" * 64, "c" * 64
OLD_KEY, NEW_KEY = Key("k-old", "live", 1, OLD), Key("k-new", "live", 2, NEW)
EMPTY = Book({}, frozenset())
BOTH = Book({"k-old": OLD_KEY, "k-new": NEW_KEY}, frozenset({OLD, NEW, STRANGER}))
DECISIONS = {
    "mint": record.mint(Key("k-new", "live", 2, NEW), OLD_KEY),
    "mint another candidate": record.mint(Key("k-new", "live", 2, "d" * 64), OLD_KEY),
    "mint a third": record.mint(Key("k-third", "live", 3, "e" * 64), NEW_KEY),
    "suspend": record.suspend("k-old"),
    "suspend by hash": record.suspend(record.by_hash(STRANGER)),
    "suspend an unknown one": record.suspend("k-nobody"),
    "restore": record.restore("k-old"),
    "revoke": record.revoke("k-old"),
    "revoke by hash": record.revoke(record.by_hash(STRANGER)),
    "bound": record.bound("k-old", "ab-7"),
}


def settled(book: Book, decide: Decision) -> Book:
    """Decide as an issuer does: the first change of a lease marks both users."""
    book = replace(decide(replace(book, is_fenced=False)), is_fenced=True)
    for _ in range(5):
        if (after := decide(book)) == book:
            return book
        book = after
    raise AssertionError("it never ends")


def halves(book: Book, decide: Decision) -> list[Book]:
    """Every book that a crash in the middle leaves: the record is written first, then the user."""
    found, book = [], replace(book, is_fenced=False)
    for _ in range(5):
        after = replace(decide(book), is_fenced=True)
        found += [replace(after, live=book.live, is_fenced=False), after]
        book = after
    return found


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_nothing_is_forgotten_while_an_older_command_may_be_on_its_way(decide: Decision) -> None:
    # An older worker has written into the record what it is about to add to the user.
    half = replace(BOTH, live=BOTH.live - {OLD, NEW})
    after = decide(half)
    late = replace(after, live=after.live | {OLD, NEW})
    assert late.strangers <= {STRANGER}


@pytest.mark.parametrize("decide", DECISIONS.values(), ids=DECISIONS)
def test_every_half_of_a_change_ends_where_the_whole_does(decide: Decision) -> None:
    whole = settled(BOTH, decide)
    for half in halves(BOTH, decide):
        assert settled(half, decide) == whole


@pytest.mark.parametrize(("first", "then"), [*itertools.product(DECISIONS, DECISIONS)])
def test_no_change_removes_or_forgets_what_is_not_ours_or_still_works(
    first: str, then: str
) -> None:
    halfway = halves(BOTH, DECISIONS[first])
    for half in halfway:
        try:
            books = halves(half, DECISIONS[then])
        except PermanentError:
            continue
        for book in books:
            if "by hash" not in first + then:
                assert STRANGER in book.live
            assert book.strangers <= {STRANGER}, "whoever may log in is known"


def test_what_is_revoked_is_never_restored_and_leaves_no_hash() -> None:
    book = settled(BOTH, record.revoke("k-old"))
    assert book.keys["k-old"] == Key("k-old", "revoked", 1)
    assert book.live == {NEW, STRANGER}
    with pytest.raises(PermanentError, match="revoked"):
        record.restore("k-old")(book)
    assert settled(book, record.suspend("k-old")) == book


def test_a_password_that_was_taken_away_by_hand_is_forgotten_with_the_third() -> None:
    gone = replace(BOTH, live=frozenset({NEW}))
    third = Key("k-third", "live", 3, "e" * 64)
    assert set(settled(gone, record.mint(third, NEW_KEY)).keys) == {"k-new", "k-third"}


def test_an_unknown_password_is_revoked_only_where_none_can_be_it() -> None:
    with pytest.raises(PermanentError, match="does not know which"):
        record.revoke("k-lost")(BOTH)
    known = replace(BOTH, live=BOTH.live - {STRANGER})
    assert settled(known, record.revoke("k-lost")).live == known.live
    assert settled(BOTH, record.revoke("h-0000000000000000")).live == BOTH.live


def test_a_limit_of_sessions_holds_as_long_as_the_password_is_away() -> None:
    book = settled(settled(BOTH, record.suspend("k-old")), record.bound("k-old", "ab-7"))
    assert book.keys["k-old"].sessions == "ab-7"
    assert settled(book, record.bound("k-old", "ab-9")) == book
    assert settled(book, record.suspend("k-old")) == book
    assert settled(book, record.revoke("k-old")).keys["k-old"].sessions == "ab-7"
    assert settled(book, record.restore("k-old")).keys["k-old"].sessions == ""
    by_hand = replace(book, live=book.live | {OLD})
    assert settled(by_hand, record.revoke("k-old")).keys["k-old"].sessions == ""


def shown(**fields: object) -> list[object]:
    body = {"flags": ["off"], "passwords": [], "keys": "", "selectors": [], **fields}
    return [part for pair in body.items() for part in pair]


@pytest.mark.parametrize(
    "key",
    [
        OLD_KEY,
        Key("k-1", "suspended", 3, OLD, "ab12-77"),
        Key("h-1", "revoked", 0),
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
