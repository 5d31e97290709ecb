"""Reads the targets document: what the deployment lets the function touch, and for which secrets.

Decides which target a policy may name; opens nothing.

1. A faulty document is refused whole, with all its faults; each has its path and remedy.
2. A value is never quoted, but for names of targets and patterns of secrets.
3. Which secrets may use a target follows from their names alone: whoever may write a secret's
   annotations may write its labels.
4. A project's id and its number are the same project; what tells is given from outside.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from rotation.model.errors import BadPluginError, PermanentError
from rotation.model.names import SecretName, secret_pattern
from rotation.model.target import Demands, Target, TargetSettings, fits, target_type
from rotation.policies.typed import (
    Fault,
    Invalid,
    join,
    nearest,
    note_unknown_keys,
    read_record,
    read_value,
)

#: A target's name.
NAME_PATTERN: Final = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(NAME_PATTERN)
#: Keys of every target, beside those of its kind.
_COMMON: Final[Mapping[str, Any]] = {"secrets": tuple[str, ...], "demands": Demands}
_SECRET: Final = re.compile(
    secret_pattern("[a-z0-9][a-z0-9:.-]*", "[a-z0-9-]+", "[A-Za-z0-9_*?-]{1,255}")
)
#: The same where groups have no names, as JSON Schema has it.
SECRET_PATTERN: Final = re.sub(r"\?P<\w+>", "", _SECRET.pattern)
_MOST_NAMED: Final = 50
#: What other versions know.
_NOT_YET: Final = {"approval": "this version knows no approvals"}


class FaultyTargetsError(PermanentError):
    """The targets document has one or more faults.  The process does not start."""

    reason = "targets-invalid"

    def __init__(self, faults: list[Fault]) -> None:
        #: All of them; the message names at most fifty.
        self.faults = tuple(faults)
        named = [str(fault) for fault in faults[:_MOST_NAMED]]
        if len(faults) > _MOST_NAMED:
            named.append(f"and {len(faults) - _MOST_NAMED} more")
        super().__init__(
            "the targets document is faulty:\n" + "\n".join(f"- {line}" for line in named)
        )


class Targets:
    """What the deployment lets be touched."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        number_of: Callable[[str], str | None] = lambda _project: None,
    ) -> None:
        """Set the document up.

        Args:
            targets: By name.
            number_of: Returns the number of a project by its id or number; None: not known.
        """
        self._targets = targets
        self._number_of = number_of

    def __iter__(self) -> Iterator[Target]:
        return iter(self._targets.values())

    def get(self, name: str) -> Target | None:
        """Return a target by its name."""
        return self._targets.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all."""
        return tuple(self._targets)

    def line_for(self, target: Target, secret: SecretName) -> str | None:
        """Return the path of what lets a secret use a target; None: nothing does."""
        for index, pattern in enumerate(target.secrets):
            if self._names(pattern, secret):
                return f"targets.{target.name}.secrets[{index}]"
        return None

    def _names(self, pattern: str, secret: SecretName) -> bool:
        parts = _SECRET.fullmatch(pattern)
        if parts is None or parts["location"] != secret.location:
            return False
        return fits(parts["secret_id"], secret.secret_id) and self._same_project(
            parts["project"], secret.project
        )

    def _same_project(self, one: str, other: str) -> bool:
        if one == other:
            return True
        number = self._number_of(one)
        return number is not None and number == self._number_of(other)


def read_document(file: Path) -> object:
    """Read a document, JSON or YAML.

    Raises:
        FaultyTargetsError: It cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}; ROTATION_TARGETS names the file"
        raise FaultyTargetsError([Fault("", message)]) from None
    except UnicodeDecodeError:
        raise FaultyTargetsError([Fault("", f"{file} is not UTF-8 text")]) from None
    return parse_document(text)


def parse_document(text: str) -> object:
    """Return the plain values of a document.

    Raises:
        FaultyTargetsError: It is neither JSON nor YAML, or says a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        from rotation.policies.plain_yaml import NotPlainError, read_yaml  # noqa: PLC0415 - JSON needs no library
    except ModuleNotFoundError:
        message = (
            "not JSON, and PyYAML is not installed here; `rotation --json targets show` prints it"
            " as JSON"
        )
        raise FaultyTargetsError([Fault("", message)]) from None
    try:
        return read_yaml(text)
    except NotPlainError as error:
        raise FaultyTargetsError([Fault("", str(error))]) from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = [key for key, count in counts.items() if count > 1]
        message = f"the key {twice[0][:60]!r} appears twice"
        raise FaultyTargetsError([Fault("", message)])
    return members


def decode_targets(
    document: object,
    kinds: Mapping[str, type],
    number_of: Callable[[str], str | None] = lambda _project: None,
) -> Targets:
    """Read a targets document.

    Args:
        document: Plain values, as JSON or YAML spell them.
        kinds: Settings record of each plugin, of whatever kind; those that touch nothing are never
            the kind of a target.
        number_of: Returns the number of a project by its id or number; None: not known.

    Raises:
        FaultyTargetsError: With every fault found.
    """
    faults: list[Fault] = []
    targets = {}
    if not isinstance(document, dict) or not isinstance(document.get("targets"), dict):
        raise FaultyTargetsError([Fault("", "expected one object with the key 'targets'")])
    note_unknown_keys(document, ["targets"], "", faults)
    for name, value in document["targets"].items():
        path = f"targets.{name}" if isinstance(name, str) else "targets"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            message = "a target's name is 1 to 63 lower-case letters, digits, dashes or underscores"
            faults.append(Fault("targets", message))
            continue
        target = _target(name, value, kinds, path, faults)
        if target is not Invalid.VALUE:
            targets[name] = target
    if faults:
        raise FaultyTargetsError(faults)
    return Targets(targets, number_of)


def _target(
    name: str, value: object, kinds: Mapping[str, type], path: str, faults: list[Fault]
) -> Target | Literal[Invalid.VALUE]:
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(kind, str):
        faults.append(Fault(path, "expected an object with the key 'kind'"))
        return Invalid.VALUE
    record = _record(kind, kinds, path, faults)
    before = len(faults)
    later = [key for key in _demands_of(value) if key in _NOT_YET]
    faults.extend(Fault(f"{path}.demands.{key}", f"{_NOT_YET[key]}; remove it") for key in later)
    common = {
        key: read_value(of, value[key], join(path, key), faults)
        for key, of in _COMMON.items()
        if key in value and not (key == "demands" and later)
    }
    if not value.get("secrets"):
        faults.append(Fault(path, "the key 'secrets' is missing: which secrets may use it?"))
    _note_bad_patterns(common.get("secrets"), path, faults)
    if record is None or len(faults) > before:
        return Invalid.VALUE
    own = {key: item for key, item in value.items() if key != "kind" and key not in _COMMON}
    settings = read_record(record, own, path, faults)
    return Invalid.VALUE if settings is Invalid.VALUE else Target(name, kind, settings, **common)


def _demands_of(value: Mapping[str, object]) -> Mapping[str, object]:
    demands = value.get("demands")
    return demands if isinstance(demands, dict) else {}


def _record(
    kind: str, kinds: Mapping[str, type], path: str, faults: list[Fault]
) -> type[TargetSettings] | None:
    try:
        record = target_type(kinds[kind]) if kind in kinds else None
    except BadPluginError as error:
        faults.append(Fault(join(path, "kind"), str(error)))
        return None
    if record is None:
        guess = nearest(kind, kinds)
        hint = f"; {guess}" if guess.startswith("did") else ""
        faults.append(Fault(join(path, "kind"), f"no plugin touches targets of this kind{hint}"))
    return record


def _note_bad_patterns(patterns: object, path: str, faults: list[Fault]) -> None:
    if not isinstance(patterns, tuple):
        return
    for index, pattern in enumerate(patterns):
        if not _SECRET.fullmatch(pattern):
            message = "expected projects/PROJECT/secrets/SECRET; * and ? may stand in SECRET alone"
            faults.append(Fault(f"{path}.secrets[{index}]", message))
