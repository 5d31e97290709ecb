"""The list in a setting is read as the server reads it, and every name of it stays a name."""

import pytest
from psycopg import sql

from rotation.issuers.postgresql.adopting.statements import list_items, setting


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", [""]),
        ('""', [""]),
        ("public", ["public"]),
        ('"$user", public', ["$user", "public"]),
        ('"A,b" ,Public', ["A,b", "public"]),
        ('"say ""hi"""', ['say "hi"']),
        ("public;DROP/**/TABLE/**/t;--,x", ["public;drop/**/table/**/t;--", "x"]),
        ('"open', ['"open']),
        ('a"b"', ['a"b"']),
        ("a,", ["a,"]),
        (" " * 50_000 + '"', [" " * 50_000 + '"']),
        ("a" + " " * 50_000 + '"', ["a" + " " * 50_000 + '"']),
    ],
)
def test_a_list_is_taken_apart(value: str, items: list[str]) -> None:
    assert list_items("search_path", value) == items
    spelled = ", ".join(sql.Literal(item).as_string() for item in items)
    expected = f'ALTER ROLE "app" SET "search_path" = {spelled}'
    assert setting("app", "", "search_path", value) == expected


def test_libraries_keep_their_case() -> None:
    assert list_items("local_preload_libraries", "Auth, $libdir/x y") == ["Auth", "$libdir/x y"]
