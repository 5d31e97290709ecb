"""Which labels, annotations and aliases are allowed, and the service's words when they are not.

1. Counts are judged before names, names before what they stand for, keys in the order sent.
2. Messages are the service's, spelling mistakes included: clients match on them.

https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from rotation.emulator.status import StatusError, invalid

_MAX_LABELS: Final = 64
_MAX_LABEL_CHARACTERS: Final = 63
_MAX_BYTES: Final = 128
_KEY_PATTERN: Final = r"[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}"
_VALUE_PATTERN: Final = r"[\p{Ll}\p{Lo}\p{N}_-]{0,63}"

_MAX_ANNOTATION_KEY: Final = 64
_MAX_ANNOTATIONS_BYTES: Final = 16 * 1024
_ANNOTATION_KEY: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")

_MAX_ALIASES: Final = 50
_ALIAS: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,62}")
_RESERVED_ALIASES: Final = frozenset({"latest", "NEW"})


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that break a limit."""
    if len(labels) > _MAX_LABELS:
        raise invalid(
            f'Invalid field "labels"; at most {_MAX_LABELS} entries allowed but found {len(labels)}'
        )
    for key, value in labels.items():
        _check_label_key(key)
        _check_label_value(key, value)


def _check_label_key(key: str) -> None:
    subject = f'Invalid field "labels"; key "{key}"'
    if len(key) > _MAX_LABEL_CHARACTERS:
        raise invalid(f"{subject} exceeds maximum character length {_MAX_LABEL_CHARACTERS}")
    if len(key.encode()) > _MAX_BYTES:
        raise invalid(f"{subject} exceeds maximum byte length {_MAX_BYTES}")
    if not key or not _is_letter(key[0]) or not all(map(_is_label_character, key)):
        raise invalid(f'{subject} does not conform to regular expression "{_KEY_PATTERN}"')


def _check_label_value(key: str, value: str) -> None:
    subject = f'Invalid field "labels.{key}"; value "{value}"'
    if len(value) > _MAX_LABEL_CHARACTERS:
        raise invalid(f"{subject} exceeds maximum value length {_MAX_LABEL_CHARACTERS}")
    if len(value.encode()) > _MAX_BYTES:
        raise invalid(f"{subject} exceeds maximum byte length {_MAX_BYTES}")
    if not all(map(_is_label_character, value)):
        raise invalid(f'{subject} does not conform to regular expression "{_VALUE_PATTERN}"')


def _is_letter(character: str) -> bool:
    return unicodedata.category(character) in {"Ll", "Lo"}


def _is_label_character(character: str) -> bool:
    return character in "_-" or _is_letter(character) or unicodedata.category(character)[0] == "N"


def check_annotations(annotations: Mapping[str, str]) -> None:
    """Refuse annotations that break a limit; their values are free text."""
    for key in annotations:
        if len(key) > _MAX_ANNOTATION_KEY or not _ANNOTATION_KEY.fullmatch(key):
            raise _bad_annotation_key(key)
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > (
        _MAX_ANNOTATIONS_BYTES
    ):
        raise invalid("Annotation map must not exceed 16kib.")


def _bad_annotation_key(key: str) -> StatusError:
    return invalid(
        rf"[{key}] must follow pattern [a-z0-9A-Z]+([_\.\-]*[a-z0-9A-Z]+)*), be less than 64 "
        "characters, and must have a UTF encoding of less than 128 bytes"
    )


def check_aliases(aliases: Mapping[str, int], versions: int) -> None:
    """Refuse aliases that break a limit or point at none of the ``versions`` versions."""
    if len(aliases) > _MAX_ALIASES:
        raise invalid(f"No more than {_MAX_ALIASES} aliases can be assgined to any given secret")
    for alias in aliases:
        if alias in _RESERVED_ALIASES or not _ALIAS.fullmatch(alias):
            raise invalid(
                f"[{alias}] must follow pattern [a-zA-Z][a-Aa-Z0-9_-]+, be less than 64 characters "
                'and cannot be "latest" or "NEW"'
            )
    if not all(0 < number <= versions for number in aliases.values()):
        raise invalid("Aliases cannot be assigned to versions that don't exist")
