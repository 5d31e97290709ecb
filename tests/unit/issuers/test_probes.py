import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotation.issuers.postgresql import probes

READING = [
    "SELECT 1",
    "select 1;",
    " \n SELECT 1 ; \n",
    "SELECT ';', $a$ ; $a$, U&'\\0441', B'1'",
    "SELECT 'Grüße €', \"größe\" FROM orders -- ä",
    "SELECT 1 /* ; /* nested ; */ ; */ -- ; to the end",
    "(SELECT 1) UNION (VALUES (2))",
    "TABLE orders",
    "WITH recent AS (SELECT 1) SELECT * FROM recent",
    'SELECT "update", "a;b" FROM "insert"',
    "SELECT has_table_privilege('orders', 'UPDATE')",
    "SELECT pg_is_in_recovery(), pg_get_userbyid(10), pg_table_is_visible(1)",
    "SELECT shop.health('x')",
    "SELECT '%' LIKE '%'",
    "SELECT 'it''s' FROM orders LIMIT 1",
]
#: Text, and what is said of it.
REFUSED = [
    ("", "empty"),
    (" ; ;", "empty"),
    ("/* SELECT 1 */", "empty"),
    ("SELECT '\0'", "NUL"),
    ("SELECT 1 -- " + "x" * 4000, "longer"),
    ("SELECT 'a'; COMMIT --'", "more than one"),
    ("SELECT a$b$c; COMMIT; SELECT $b$", "more than one"),
    ("SELECT 1 /* /* */; COMMIT */; COMMIT", "more than one"),
    ("SELECT 'open", "not closed"),
    ('SELECT "open', "not closed"),
    ("EXPLAIN SELECT 1", "begin with"),
    (")SELECT 1", "begin with"),
    ("WITH x AS (DeLeTe FROM t RETURNING 1) SELECT 1", "DELETE"),
    ("SELECT 1 FOR NO KEY UPDATE", "UPDATE"),
    ('SELECT U&"set\\005fconfig"(1)', "not read"),
    ("SELECT SET_CONFIG /* x */ ('role', 'none', false)", "set_config"),
    ("SELECT pg_catalog.pg_terminate_backend(1)", "pg_terminate_backend"),
    ("SELECT 1 FROM pg_sleep(1)", "pg_sleep"),
    ("SELECT brin_summarize_new_values('x')", "brin_summarize_new_values"),
    # What PostgreSQL's own reader takes for something else.
    ("SELECT 1 --x\r, pg_sleep(1)", "carriage return"),
    ("SELECT e'a'\n'\\'' , pg_sleep(1) --'", "a backslash"),
    ("SELECT E'a', 1", "E'"),
    ("SELECT 1 AS €$a$, pg_sleep(1) AS €$a$", "beyond ASCII"),
    ("SELECT 1 AS ٣$a$, pg_sleep(1) AS ٣$a$", "beyond ASCII"),
    ("SELECT 'a\\' , pg_sleep(1) --'", "a backslash"),
]


@pytest.mark.parametrize("text", READING)
def test_a_query_that_reads_is_a_probe(text: str) -> None:
    assert probes.fault(text) == ""


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_everything_else_is_refused_with_a_reason(text: str, why: str) -> None:
    assert why in probes.fault(text)


@given(st.text() | st.text("SELECT 1;'\"$/*-()eEuU&\\ \n"))
def test_no_text_is_too_odd_and_no_literal_is_quoted(text: str) -> None:
    assert f"'{text}'" not in probes.fault(f"SELECT '{text}'")
    probes.fault(text)


def test_a_place_is_counted_from_the_start_of_the_probe() -> None:
    assert probes.place(1, str(len(probes.declare(1)) + 8)) == " at character 8"
    assert probes.place(1, "3") == ""
    assert probes.place(1, None) == ""
