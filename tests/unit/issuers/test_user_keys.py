import itertools
from dataclasses import replace

import pytest

from rotation.issuers._keys import book as books
from rotation.issuers._keys.book import Book, Decision, Key
from rotation.issuers._keys.handle import SHOWN, by_hash
from rotation.model.errors import PermanentError

OLD, NEW, STRANGER = "a" * 64, "b" * 64, "c" * 64
REMEDY = "write it down"
OLD_KEY, NEW_KEY = Key("k-old", "live", 1, OLD), Key("k-new", "live", 2, NEW)
EMPTY = Book({}, frozenset())
BOTH = Book({"k-old": OLD_KEY, "k-new": NEW_KEY}, frozenset({OLD, NEW, STRANGER}))
DECISIONS = {
    "mint": books.mint(Key("k-new", "live", 2, NEW), OLD_KEY),
    "mint another candidate": books.mint(Key("k-new", "live", 2, "d" * 64), OLD_KEY),
    "mint a third": books.mint(Key("k-third", "live", 3, "e" * 64), NEW_KEY),
    "suspend": books.suspend("k-old", REMEDY),
    "suspend by hash": books.suspend(by_hash(STRANGER), REMEDY),
    "restore": books.restore("k-old"),
    "revoke": books.revoke("k-old", REMEDY),
    "revoke by hash": books.revoke(by_hash(STRANGER), REMEDY),
    "bound": books.bound("k-old", "ab-7"),
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


def test_what_is_revoked_is_never_restored_and_leaves_the_beginning_of_its_hash() -> None:
    book = settled(BOTH, books.revoke("k-old", REMEDY))
    assert book.keys["k-old"] == Key("k-old", "revoked", 1, OLD[:SHOWN])
    assert book.live == {NEW, STRANGER}
    with pytest.raises(PermanentError, match="revoked"):
        books.restore("k-old")(book)
    assert settled(book, books.suspend("k-old", REMEDY)) == book


def test_a_password_that_was_taken_away_by_hand_is_forgotten_with_the_third() -> None:
    gone = replace(BOTH, live=frozenset({NEW}))
    third = Key("k-third", "live", 3, "e" * 64)
    assert set(settled(gone, books.mint(third, NEW_KEY)).keys) == {"k-new", "k-third"}


@pytest.mark.parametrize("handle", ["k-old", by_hash(STRANGER)])
def test_what_is_revoked_and_given_back_is_revoked_again_from_every_half(handle: str) -> None:
    book = settled(BOTH, books.revoke(handle, REMEDY))
    by_hand = replace(book, live=BOTH.live)
    again = settled(by_hand, books.revoke(handle, REMEDY))
    assert again == book
    for half in halves(by_hand, books.revoke(handle, REMEDY)):
        assert settled(half, books.revoke(handle, REMEDY)) == book
    bounded = settled(by_hand, books.bound(handle, "ab-7"))
    assert settled(bounded, books.revoke(handle, REMEDY)).keys[handle].sessions == ""


def test_an_unknown_password_is_taken_away_only_where_none_can_be_it() -> None:
    with pytest.raises(PermanentError, match="does not know which"):
        books.revoke("k-lost", REMEDY)(BOTH)
    with pytest.raises(PermanentError, match="does not know which") as refused:
        books.suspend("k-lost", REMEDY)(BOTH)
    assert refused.value.remedy == REMEDY
    known = replace(BOTH, live=BOTH.live - {STRANGER})
    assert settled(known, books.suspend("k-lost", REMEDY)).live == known.live
    assert settled(known, books.revoke("k-lost", REMEDY)).live == known.live
    assert settled(BOTH, books.revoke("h-0000000000000000", REMEDY)).live == BOTH.live


def test_a_limit_of_sessions_holds_as_long_as_the_password_is_away() -> None:
    book = settled(settled(BOTH, books.suspend("k-old", REMEDY)), books.bound("k-old", "ab-7"))
    assert book.keys["k-old"].sessions == "ab-7"
    assert settled(book, books.bound("k-old", "ab-9")) == book
    assert settled(book, books.suspend("k-old", REMEDY)) == book
    assert settled(book, books.revoke("k-old", REMEDY)).keys["k-old"].sessions == "ab-7"
    assert settled(book, books.restore("k-old")).keys["k-old"].sessions == ""
    by_hand = replace(book, live=book.live | {OLD})
    assert settled(by_hand, books.revoke("k-old", REMEDY)).keys["k-old"].sessions == ""
