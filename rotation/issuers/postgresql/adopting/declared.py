"""What an adoption of PostgreSQL asks a person for, and how its statements are written down."""

from typing import Final, get_args

from rotation.model.adoption import AdoptionOption, AdoptionSpec, ShapeName, Step

_HEAD: Final = "-- If it stops at a lock time-out, run it again.\n\\set ON_ERROR_STOP on\n"
_LOCK: Final = "SET LOCAL lock_timeout = '500ms';"
_VERIFIER: Final = "SCRAM-SHA-256$"


def script(step: Step) -> str:
    """Return a step's statements for psql, in the same transactions."""
    groups = (
        "\n".join(["BEGIN;", _LOCK, *(f"{statement};" for statement in group), "COMMIT;\n"])
        for group in step.transactions
    )
    return _HEAD + "\n".join(groups)


def masked(statement: str) -> str:
    """Return a statement without the verifier of a password."""
    before, mark, after = statement.partition(_VERIFIER)
    return f"{before}{mark}...'{after.partition(chr(39))[2]}" if mark else statement


ADOPTION: Final = AdoptionSpec(
    options=(
        AdoptionOption("owner", "owner", "Role that will own every object: LOGIN_owner."),
        AdoptionOption("second", "second", "The second slot: LOGIN_b."),
        AdoptionOption("host", "host", "Address of the database, as the function sees it."),
        AdoptionOption("port", "port", "Its port.", is_port=True),
        AdoptionOption("tls", "tls", "verify-full (the default), verify-ca, require, disable."),
        AdoptionOption("tls_root_cert", "tls-root-cert", "File of trusted certificates there."),
        AdoptionOption(
            "shape",
            "payload-shape",
            "Shape of new versions; that of today unless given.",
            choices=get_args(ShapeName),
        ),
    ),
    connection="PG* and ~/.pgpass",
    suffix="sql",
    comment="--",
    run="psql -f FILE.sql",
    script=script,
    masked=masked,
)
