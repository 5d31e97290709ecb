"""What a probe is, one query that reads, and how it is put to the server; it runs nothing.

The server is the judge: a probe is the query of a cursor, sent by the extended protocol.  So the
server's own parser refuses a second statement and whatever is not a query (COMMIT, SET, COPY, DO).
What reads the text here says so earlier, and refuses calls that no read-only transaction stops.

Rules of this module:
  1. Pure: text in, text out.
  2. A probe stands at the end of its statement, so nothing of ours can be closed by it.
  3. No literal of a probe is quoted: it may be somebody's data.
  4. What PostgreSQL's own reader could take for something else (carriage returns, letters beyond
     ASCII, escapes) is refused, not understood.
"""

import re
from collections.abc import Iterator
from typing import Final

#: Characters of one probe.
LONGEST = 4000

_TOKEN: Final = re.compile(
    r"""(?P<skipped>\s+ | --[^\n]* | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'
        | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ | \d[\w.]*)
      | (?P<comment>/\*)
      | (?P<escaped>[uU]&"|[eE]')
      | "(?P<quoted>(?:[^"]|"")+)"
      | (?P<word>[^\W\d][\w$]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_QUERIES: Final = frozenset({"select", "values", "table", "with"})
_WRITES: Final = frozenset({"insert", "update", "delete", "merge", "into"})
#: Functions that change the session, act beyond their transaction, or run a text.
_ACTING: Final = re.compile(
    r"brin_.*|gin_clean_pending_list|set_config|setval|nextval|dblink.*|lo_.*|lo(?:read|write)|ts_stat|ts_rewrite|crosstab.*"
    r"|connectby|xpath_table|(?:query|cursor|table|schema|database)_to_xml.*|pg_.*"
)
#: Functions of PostgreSQL's own that only look.
_LOOKING: Final = re.compile(
    r"pg_(?:is_in_recovery|has_role|typeof|backend_pid|my_temp_schema|postmaster_start_time"
    r"|conf_load_time|size_pretty|size_bytes|column_size|(?:database|table|indexes|relation"
    r"|total_relation|tablespace)_size|get_\w+|\w+_is_visible|char_to_encoding|encoding_to_char"
    r"|current_wal_\w+|wal_lsn_diff|last_(?:wal|xact)_\w+|jit_available|collation_for)"
)


def fault(probe: str) -> str:
    """Say why a text cannot be a probe, as the end of a sentence; empty when it may be one."""
    if "\0" in probe:
        return "PostgreSQL knows no NUL character"
    if "\r" in probe or "\\'" in probe:
        return "carriage returns and quotes after a backslash are not read here"
    if len(probe) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    tokens = list(_tokens(probe))
    while tokens and tokens[-1] == ("sign", ";"):
        tokens.pop()
    if not tokens:
        return "it is empty"
    first = next((token for token in tokens if token != ("sign", "(")), ("sign", ""))
    if first[0] != "word" or first[1] not in _QUERIES:
        return "it does not begin with SELECT, VALUES, TABLE or WITH"
    following = [*tokens[1:], ("sign", "")]
    faults = (_fault_of(*pair) for pair in zip(tokens, following, strict=True))
    return next(filter(None, faults), "")


def declare(number: int) -> str:
    """Return what stands before a probe when its cursor is declared."""
    return f"DECLARE {_cursor(number)} NO SCROLL CURSOR WITHOUT HOLD FOR "


def begin(number: int) -> str:
    """Return the statement that runs a declared probe up to its first row, which stays there."""
    return f"MOVE FORWARD 1 IN {_cursor(number)}"


def place(number: int, reported: str | None) -> str:
    """Say where in the probe an error is, by its position in the whole statement; may be empty."""
    found = int(reported) - len(declare(number)) if reported and reported.isdecimal() else 0
    return f" at character {found}" if found > 0 else ""


def _cursor(number: int) -> str:
    return f"rotation_probe_{number}"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of what is neither literal, number, comment nor space."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        kind, at = (found.lastgroup or "sign", found.end()) if found else ("sign", at + 1)
        if kind == "comment":
            at = _after_comment(text, at)
        elif kind in {"word", "quoted"} and found:
            name = found[kind].replace('""', '"')
            yield kind, name.lower() if kind == "word" else name
        elif kind not in {"skipped", "tag"} and found:
            yield kind, found[0]


def _after_comment(text: str, at: int) -> int:
    """Return where a comment ends; comments nest, and one may last until the end."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _fault_of(token: tuple[str, str], following: tuple[str, str]) -> str:
    kind, text = token
    if token == ("sign", ";"):
        return "it is more than one statement"
    if kind == "escaped":
        return """names written as U&"..." and strings written as E'...' are not read here"""
    if kind == "sign" and not text.isascii():
        return "it has characters beyond ASCII outside quotes; quote the name that has them"
    if token in {("sign", "'"), ("sign", '"')}:
        return "a quote is not closed"
    if kind == "word" and text in _WRITES:
        return f"it has the word {text.upper()}; quote it if it is a name"
    is_call = kind in {"word", "quoted"} and following == ("sign", "(")
    if is_call and _ACTING.fullmatch(text) and not _LOOKING.fullmatch(text):
        return f"it calls {text}, which does more than read"
    return ""
