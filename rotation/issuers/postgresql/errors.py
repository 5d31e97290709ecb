"""Say what the caller does next about each failure PostgreSQL reports.

Rules of this module:
  1. SQLSTATE decides.  A failed login has none in libpq; there the server's English words do.
  2. Only the state and the primary message are passed on, never detail, statement or context;
     and a message that quotes a known secret is left out.  Of a probe, the state alone: the message
     may quote data.
  3. An answer is told apart from silence: refused connections and time-outs are temporary.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from collections.abc import Collection

import psycopg

from rotation.model.errors import (
    CandidateRejectedError,
    CredentialRefusedError,
    PermanentError,
    RotationError,
    TemporaryError,
)
from rotation.model.password import Password

#: Lost, refused or broken connections; resources; operator intervention; serialization.
TEMPORARY_CLASSES = ("08", "53", "57", "58", "40")
LOCK_NOT_AVAILABLE = "55P03"
OBJECT_IN_USE = "55006"
INTERNAL = "XX000"
#: Two writers of one role without a common lock; reported as an internal error.
CONCURRENT_UPDATE = "tuple concurrently updated"
MISSING_RIGHT = "42501"
MISSING_OBJECT = "42704"
READ_ONLY = "25006"
#: A password hook refuses with one of these classes: invalid value, invalid authorization.
REFUSED_BY_POLICY = ("22", "28", "0A")
NOT_PRIMARY = "not-primary"
#: Syntax errors, a second statement among them; what no cursor takes, such as a WITH that writes.
NO_QUERY = ("42601", "0A000")
PROBE = "probe-invalid"
#: Raised by values: which one it was would say something of the data.
DATA_CLASSES = ("21", "22", "23", "38", "39", "P0")
DATABASE = "database-error"

#: What a server says before a session exists, in the order it is looked for.
_LOGIN_WORDS = (
    ("channel binding", "no-channel-binding"),
    ("unexpected eof", "unreachable"),
    ("certificate", "tls"),
    ("server does not support SSL", "tls"),
    ("does not match host name", "tls"),
    ("SSL error", "tls"),
    ("no pg_hba.conf entry", "no-hba-entry"),
    ("pg_hba.conf rejects", "no-hba-entry"),
    ("requirement", "not-scram"),
    ("authentication failed for user", "refused"),
    ("is not permitted to log in", "refused"),
    ("no password supplied", "refused"),
    ("too many clients", "busy"),
    ("too many connections", "busy"),
    ("remaining connection slots", "busy"),
    ("is not currently accepting connections", "busy"),
    ("permission denied for database", "no-connect-right"),
    ("does not exist", "no-database"),
)
#: What helps against a failed login, by slug.
LOGIN_REMEDIES = {
    "no-hba-entry": "add a hostssl line with scram-sha-256 to pg_hba.conf for this client",
    "no-connect-right": "GRANT CONNECT ON DATABASE to the owner role and the rotator",
    "no-database": "create the database, or correct it in the policy",
    "not-scram": "use scram-sha-256 in pg_hba.conf, and set the password again where it is kept as"
    " md5",
    "no-channel-binding": "let the rotator reach the server itself; where a pooler or proxy ends"
    " TLS, write channel_binding: prefer",
    "tls": "correct tls and tls_root_cert in the policy, or the server's certificate",
}
#: What a slug means, for people.
_LOGIN_MEANINGS = {
    "refused": "the server refuses the user or the password",
    "unreachable": "the server does not answer",
    "busy": "the server takes no more connections now",
    "no-hba-entry": "pg_hba.conf does not let this client in",
    "no-connect-right": "the right to connect to the database is missing",
    "no-database": "there is no such role or database",
    "not-scram": "the server does not ask for SCRAM, and nothing weaker is sent",
    "no-channel-binding": "the server does not bind the login to the TLS connection",
    "tls": "TLS cannot be set up as the policy asks",
}
_NO_TLS = ("server does not support SSL", "the server speaks no TLS; the policy asks for it")


def login_failure(error: psycopg.Error) -> str:
    """Return a slug for a failed login: ``refused``, ``unreachable``, ``tls``..."""
    text = str(error)
    return next((slug for words, slug in _LOGIN_WORDS if words in text), "unreachable")


def login_meaning(error: psycopg.Error) -> str:
    """Say what a failed login means, as the end of a sentence; never with the server's own text."""
    words, meaning = _NO_TLS
    return meaning if words in str(error) else _LOGIN_MEANINGS[login_failure(error)]


def translate_login(error: psycopg.Error, who: str, node: object) -> RotationError:
    """Return what to raise when ``who`` cannot log in to ``node``.

    `CredentialRefusedError` means that the server answered, and the answer was no.
    """
    slug = login_failure(error)
    if slug == "refused":
        return CredentialRefusedError(f"{node} refuses the login of {who}")
    if slug in LOGIN_REMEDIES:
        message = f"{who} cannot log in to {node}: {login_meaning(error)}"
        return PermanentError(message, remedy=LOGIN_REMEDIES[slug], reason=slug)
    if slug == "busy":
        return TemporaryError(f"{node} takes no more connections now", reason="server-busy")
    return TemporaryError(f"{node} cannot be reached", reason="unreachable")


def translate(
    error: psycopg.Error, doing: str, *, remedy: str = "", hidden: Collection[Password] = ()
) -> RotationError:
    """Return what to raise for an error that a statement met.

    Args:
        error: As psycopg raised it.
        doing: What was attempted, for the message: "change role orders_b".
        remedy: The exact statement that grants the right, should that be what is missing.
        hidden: Texts that must not appear in the message.
    """
    state = error.sqlstate
    text = f"cannot {doing}: {_quoted(error, hidden)}"
    if state is None or state.startswith(TEMPORARY_CLASSES):
        return TemporaryError(text, reason="server-busy" if state else "connection-lost")
    if state in {LOCK_NOT_AVAILABLE, OBJECT_IN_USE}:
        return TemporaryError(text, reason="lock-not-available")
    if state == INTERNAL and CONCURRENT_UPDATE in (error.diag.message_primary or ""):
        return TemporaryError(text, reason="concurrent-change")
    if state == MISSING_RIGHT:
        return PermanentError(text, remedy=remedy, reason="missing-right")
    if state == MISSING_OBJECT:
        return PermanentError(text, remedy=remedy, reason="role-missing")
    if state == READ_ONLY:
        return not_primary(doing)
    return PermanentError(text, remedy=remedy, reason="database-error")


def translate_change(
    error: psycopg.Error, doing: str, *, remedy: str, hidden: Collection[Password]
) -> RotationError:
    """Like `translate`, for a statement that sets a password: a policy may refuse the candidate."""
    if error.sqlstate and error.sqlstate.startswith(REFUSED_BY_POLICY):
        return CandidateRejectedError(f"the server refused the candidate: {_quoted(error, hidden)}")
    return translate(error, doing, remedy=remedy, hidden=hidden)


def translate_probe(error: psycopg.Error, probe: str, where: str, remedy: str) -> RotationError:
    """Return what to raise for a probe that failed, without a word of the server's.

    Args:
        error: As psycopg raised it.
        probe: Which one, on which node.
        where: The place in it, as `probes.place` says it.
        remedy: What grants the right, should that be what is missing.
    """
    state = error.sqlstate
    if state is not None and state.startswith(DATA_CLASSES):
        text = f"{probe} failed on the data that it reads"
        return PermanentError(text, remedy="correct the probe in the policy", reason=DATABASE)
    text = f"{probe} failed: {state or 'connection lost'}{where}"
    if state is None or state.startswith(TEMPORARY_CLASSES):
        return TemporaryError(text, reason="server-busy" if state else "connection-lost")
    if state == READ_ONLY:
        return PermanentError(f"{text}: it writes; probes only read", reason="probe-writes")
    if state in NO_QUERY:
        hint = "write one SELECT, VALUES, TABLE or WITH that only reads"
        return PermanentError(f"{text}: not understood as one query", remedy=hint, reason=PROBE)
    if state == MISSING_RIGHT:
        return PermanentError(text, remedy=remedy, reason="missing-right")
    return PermanentError(text, remedy="correct the probe in the policy", reason=DATABASE)


def not_primary(doing: str) -> PermanentError:
    """Return the error for a host that is a standby."""
    return PermanentError(
        f"cannot {doing}: the host is a standby and takes no writes",
        remedy="set host to the primary, and list the standby under replicas",
        reason=NOT_PRIMARY,
    )


def _quoted(error: psycopg.Error, hidden: Collection[Password]) -> str:
    state, message = error.sqlstate or "connection lost", error.diag.message_primary or ""
    if not message or any(secret.is_in(message) for secret in hidden):
        return state
    return f"{state} {message}"
