"""A consumer's report, read as what it says about one secret.

Rules of this module:
  1. Nothing is raised and nothing is guessed: a report that cannot be read in full is `Unread`.
  2. A project may be spelled as id or number: where two names differ in that, the number decides.
  3. Keys that are not known are left alone: the contract grows by keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rotation.gates._fetch import Silence
from rotation.gates._json import object_at, read_json, text_at
from rotation.kit.net.exchange import Reply
from rotation.model.consumer import CONTRACT, Failure, Held, Trouble, Usage
from rotation.model.errors import BadNameError, RotationError
from rotation.model.names import SecretName

_OK: Final = 200
_MOST_SECRETS: Final = 1000
_LONGEST_VERSION: Final = 2**63


@dataclass(frozen=True)
class Report:
    """What one consumer says about the secret."""

    reported_at: datetime
    #: One for each place in the consumer that uses the secret.
    usages: tuple[Usage, ...]


@dataclass(frozen=True)
class Unread:
    """A report that says nothing, and why."""

    reason: str


def read_report(
    outcome: Reply | Silence, secret: SecretName, number_of: Callable[[str], str | None]
) -> Report | Unread:
    """Read what a consumer answered."""
    if isinstance(outcome, Silence):
        return Unread(outcome.reason)
    if outcome.status != _OK:
        return Unread(f"status {outcome.status}")
    body = read_json(outcome.body)
    if text_at(body, "contract") != CONTRACT:
        return Unread(f"no report of the contract {CONTRACT}")
    reported_at = _moment(body.get("reported_at"))
    if reported_at is None:
        return Unread("reported_at is not a time with a zone")
    secrets = object_at(body, "secrets")
    if len(secrets) > _MOST_SECRETS:
        return Unread(f"more than {_MOST_SECRETS} secrets")
    names = [name for name in secrets if _is_same(name, secret, number_of)]
    if not names:
        return Unread("does not name the secret")
    usages = tuple(usage for name in names for usage in _usages(secrets[name]))
    if not usages or None in usages:
        return Unread("what it says of the secret cannot be read")
    return Report(reported_at, tuple(usage for usage in usages if usage is not None))


def _is_same(name: str, secret: SecretName, number_of: Callable[[str], str | None]) -> bool:
    try:
        other = SecretName.parse(name)
    except BadNameError:
        return False
    if (other.secret_id, other.location) != (secret.secret_id, secret.location):
        return False
    if other.project == secret.project:
        return True
    try:
        numbers = [_number(project, number_of) for project in (other.project, secret.project)]
    except RotationError:
        return False
    return None not in numbers and numbers[0] == numbers[1]


def _number(project: str, number_of: Callable[[str], str | None]) -> str | None:
    return project if project.isdigit() else number_of(project)


def _usages(value: object) -> list[Usage | None]:
    """Read one entry, or a list of them."""
    return [_usage(entry) for entry in value] if isinstance(value, list) else [_usage(value)]


def _usage(entry: object) -> Usage | None:
    held = _held(entry)
    if held is None or not isinstance(entry, dict):
        return None
    since, failing = _moment(entry.get("since")), entry.get("failing")
    if failing is None:
        return Usage(held, since)
    failure = _failure(failing)
    return Usage(held, since, failure) if failure else None


def _failure(value: object) -> Failure | None:
    held = _held(value)
    word = text_at(value, "reason")
    if held is None or word not in {trouble.value for trouble in Trouble}:
        return None
    since = value.get("since") if isinstance(value, dict) else None
    return Failure(held, Trouble(word), _moment(since))


def _held(entry: object) -> Held | None:
    if not isinstance(entry, dict):
        return None
    known: Mapping[str, Any] = entry
    version, rotation_id = known.get("version"), text_at(known, "rotation_id")
    if version is None:
        return Held(None, rotation_id) if rotation_id else None
    if isinstance(version, bool) or not isinstance(version, int):
        return None
    return Held(version, rotation_id) if 0 < version < _LONGEST_VERSION else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
