"""Reads the policy annotation; refuses what this version cannot carry out.

Decides what a policy means; never what to do about it.

1. All faults of a policy are named in one error, each with its path and its remedy.
2. Unknown keys are faults.  What a later version may know is named as such, never ignored: a
   policy that asks for an approval must not be rotated without one.
3. No value of a policy is quoted, except by the settings of a plugin.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal, TypeVar

from rotation.model.errors import NOT_ALLOWED, PolicyError
from rotation.model.names import SecretName
from rotation.model.policy import (
    NotKnownHere,
    OnDeadline,
    ParticipantChoice,
    PluginChoice,
    Policy,
    Retire,
    Stage,
)
from rotation.policies.choosing import Asking, policys_fields, read_choice
from rotation.policies.demands import demand
from rotation.policies.duration import format_duration
from rotation.policies.typed import (
    Fault,
    Invalid,
    join,
    note_unknown_keys,
    read_value,
)

#: The participant of a policy that names none.
DEFAULT_PARTICIPANT: Final = "alias"
DEFAULT_STAGE: Final = "everyone"
_POLICY_KEYS: Final = ("issuer", "rollout", "soak", "retire")
_STAGE_KEYS: Final = ("stage", "participants", "gates", "soak")
_STAGE_NEEDS: Final = ("stage", "participants")
#: Keys of every participant, beside those of its kind.
_PARTICIPANT_KEYS: Final = {"deadline": timedelta, "on_deadline": OnDeadline}
#: Stage names become the value of a label.
STAGE_NAME: Final = "^[a-z0-9_-]{1,63}$"
#: What other versions know.
_NOT_YET: Final = {"approval": "this version knows no approvals"}
_MOST_NAMED: Final = 50

_Plugins = Mapping[str, type]
_Choice = TypeVar("_Choice", bound=PluginChoice)


@dataclass(frozen=True)
class Kinds:
    """Settings dataclass of each known plugin, by kind.

    Only what a policy names is read: to read one may import its plugin, and raise `BadPluginError`.
    """

    issuers: Mapping[str, type]
    participants: Mapping[str, type]
    gates: Mapping[str, type] = field(default_factory=dict)
    #: Issuers that cannot show who uses a credential, and gates that ask them to.
    cannot_see_use: Container[str] = frozenset()
    needs_use: Container[str] = frozenset()
    #: What the deployment lets be touched, and by which secret's policy.
    asking: Asking = field(default_factory=Asking)

    def of(self, secret: SecretName | None) -> "Kinds":
        """Return what the policy of one secret may name."""
        return replace(self, asking=replace(self.asking, secret=secret))

    def looking(self) -> "Kinds":
        """Return the same for whoever only looks: it refuses nothing for want of a document."""
        return replace(self, asking=replace(self.asking, judge=False))


class FaultyPolicyError(PolicyError):
    """A policy with one or more faults.  Cleared by a changed policy."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        #: All of them; the message names at most fifty.
        self.faults = tuple(faults)
        if any(fault.by for fault in self.faults):
            self.reason = NOT_ALLOWED
        named = [str(fault) for fault in self.faults[:_MOST_NAMED]]
        if len(self.faults) > _MOST_NAMED:
            named.append(f"and {len(self.faults) - _MOST_NAMED} more")
        super().__init__("the policy is faulty:\n" + "\n".join(f"- {line}" for line in named))


def decode_policy(text: str, kinds: Kinds, secret: SecretName | None = None) -> Policy:
    """Read a policy.

    Args:
        text: The annotation: one JSON object.
        kinds: The plugins it may name.
        secret: Whose policy it is; None: nobody's yet.

    Raises:
        FaultyPolicyError: With every fault found.
    """
    faults: list[Fault] = []
    document = _parse(text, faults)
    policy = _policy(document, kinds.of(secret) if secret else kinds, faults)
    if policy is Invalid.VALUE or faults:
        raise FaultyPolicyError(faults)
    return demand(policy, kinds.asking.targets)


def check_fits(policy: Policy, period: timedelta | None) -> None:
    """Refuse a policy whose rotation would not be over when the next one falls due.

    Args:
        policy: What one rotation takes.
        period: The secret's rotation period; None has no next one.

    Raises:
        FaultyPolicyError: It does not fit.
    """
    if period is None or policy.length < period:
        return
    length = format_duration(policy.length)
    soaks = sum((stage.soak for stage in policy.rollout), timedelta())
    stages = f"the stages' soaks {format_duration(soaks)}, " if soaks else ""
    message = (
        f"{stages}soak {format_duration(policy.soak)}, retire.observe"
        f" {format_duration(policy.retire.observe)} and retire.destroy_after"
        f" {format_duration(policy.retire.destroy_after)} take {length}, but the secret rotates"
        f" every {format_duration(period)}; shorten them, or rotate less often than every {length}"
    )
    raise FaultyPolicyError([Fault("", message)])


def encode_policy(policy: Policy) -> str:
    """Spell a policy with every default written out; `decode_policy` reads the same."""
    return json.dumps(_plain(policy), ensure_ascii=False)


def encode_record(record: object) -> dict[str, Any]:
    """Return the plain values of a record, with every default written out."""
    plain: dict[str, Any] = _plain(record)
    return plain


def _parse(text: str, faults: list[Fault]) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice = [key for key, count in counts.items() if count > 1]
            faults.extend(Fault("", f"the key {key[:60]!r} appears twice") for key in twice)
        return members

    try:
        document: object = json.loads(
            text, object_pairs_hook=unique, parse_constant=_finite, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise FaultyPolicyError([Fault("", f"not JSON: {where}: {error.msg}")]) from None
    except (ValueError, RecursionError):
        message = "not a policy: a number beyond JSON, or nested too deeply"
        raise FaultyPolicyError([Fault("", message)]) from None
    return document


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("JSON has no such number")
    return number


def _policy(document: object, kinds: Kinds, faults: list[Fault]) -> Policy | Literal[Invalid.VALUE]:
    if not isinstance(document, dict):
        faults.append(Fault("", "expected one object with the key 'issuer'"))
        return Invalid.VALUE
    _note_keys(document, _POLICY_KEYS, "", faults)
    issuer = _issuer(document, kinds, faults)
    rollout = _rollout(document, kinds, faults)
    if issuer is not Invalid.VALUE and issuer.kind in kinds.cannot_see_use:
        _note_blind_gates(issuer.kind, rollout, kinds, faults)
    optional = {
        key: read_value(kind, document[key], key, faults)
        for key, kind in (("soak", timedelta), ("retire", Retire))
        if key in document
    }
    if issuer is Invalid.VALUE or faults:
        return Invalid.VALUE
    return Policy(issuer=issuer, rollout=rollout, **optional)


def _issuer(
    document: dict[str, object], kinds: Kinds, faults: list[Fault]
) -> PluginChoice | Literal[Invalid.VALUE]:
    if "issuer" not in document:
        message = "the key 'issuer' is missing: say which system mints the credential"
        faults.append(Fault("", message))
        return Invalid.VALUE
    return read_choice(
        PluginChoice, document["issuer"], kinds.issuers, kinds.asking, "issuer", faults
    )


def _rollout(document: dict[str, object], kinds: Kinds, faults: list[Fault]) -> tuple[Stage, ...]:
    if "rollout" not in document:
        default = _participant({"kind": DEFAULT_PARTICIPANT}, kinds, "rollout", faults)
        return () if default is Invalid.VALUE else (Stage(DEFAULT_STAGE, (default,)),)
    rollout = document["rollout"]
    if not isinstance(rollout, list) or not rollout:
        faults.append(Fault("rollout", "expected a list of stages; without it, aliases move"))
        return ()
    read = [
        _stage(stage, kinds, f"rollout[{index}]", faults) for index, stage in enumerate(rollout)
    ]
    _note_repeated_names(rollout, faults)
    stages = tuple(stage for stage in read if stage is not Invalid.VALUE)
    _note_repeated_participants(stages, faults)
    return stages


def _note_repeated_participants(stages: Iterable[Stage], faults: list[Fault]) -> None:
    first: list[tuple[PluginChoice, str]] = []
    for stage in stages:
        for choice in stage.participants:
            plain = PluginChoice(choice.kind, choice.settings)
            before = next((name for known, name in first if known == plain), None)
            if before is not None:
                message = f"{choice.kind} with the same settings stands in stage {before!r} already"
                faults.append(Fault(f"rollout: stage {stage.stage!r}", message))
            first.append((plain, stage.stage))


def _note_blind_gates(
    issuer: str, rollout: Iterable[Stage], kinds: Kinds, faults: list[Fault]
) -> None:
    for stage in rollout:
        for gate in stage.gates:
            if gate.kind in kinds.needs_use:
                message = (
                    f"{issuer} cannot show who uses a credential, so the gate {gate.kind} would"
                    " wait for ever; let consumers report instead"
                )
                faults.append(Fault(f"rollout: stage {stage.stage!r}", message))


def _note_repeated_names(rollout: list[object], faults: list[Fault]) -> None:
    first: dict[str, int] = {}
    for index, stage in enumerate(rollout):
        name = stage.get("stage") if isinstance(stage, dict) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            message = f"rollout[{first[name]}] has the same name"
            faults.append(Fault(f"rollout[{index}].stage", message))


def _stage(
    stage: object, kinds: Kinds, path: str, faults: list[Fault]
) -> Stage | Literal[Invalid.VALUE]:
    if not isinstance(stage, dict):
        faults.append(Fault(path, "expected an object with the keys 'stage' and 'participants'"))
        return Invalid.VALUE
    _note_keys(stage, _STAGE_KEYS, path, faults)
    missing = [key for key in _STAGE_NEEDS if key not in stage]
    faults.extend(Fault(path, f"the key {key!r} is missing") for key in missing)
    name = read_value(str, stage.get("stage", "-"), f"{path}.stage", faults)
    if isinstance(name, str) and not re.search(STAGE_NAME.replace("$", r"\Z"), name):
        message = "expected a name of lower-case letters, digits, dashes and underscores, up to 63"
        faults.append(Fault(f"{path}.stage", message))
    participants = _listed(stage.get("participants"), _participant, kinds, path, faults)
    gates = _listed(stage.get("gates"), _gate, kinds, path, faults, of="gates")
    soak = read_value(timedelta, stage.get("soak", "0s"), f"{path}.soak", faults)
    if missing or Invalid.VALUE in (name, soak):
        return Invalid.VALUE
    return Stage(name, participants, gates, soak)


def _listed(
    listed: object,
    read: Callable[[object, Kinds, str, list[Fault]], _Choice | Literal[Invalid.VALUE]],
    kinds: Kinds,
    path: str,
    faults: list[Fault],
    of: str = "participants",
) -> tuple[_Choice, ...]:
    if listed is None:
        return ()
    path = f"{path}.{of}"
    if not isinstance(listed, list) or not (listed or of == "gates"):
        least = "" if of == "gates" else "at least one "
        faults.append(Fault(path, f"expected a list of {least}{of if not least else of[:-1]}"))
        return ()
    choices = [
        read(choice, kinds, f"{path}[{index}]", faults) for index, choice in enumerate(listed)
    ]
    return tuple(choice for choice in choices if choice is not Invalid.VALUE)


def _gate(
    choice: object, kinds: Kinds, path: str, faults: list[Fault]
) -> PluginChoice | Literal[Invalid.VALUE]:
    return read_choice(PluginChoice, choice, kinds.gates, kinds.asking, path, faults)


def _participant(
    choice: object, kinds: Kinds, path: str, faults: list[Fault]
) -> ParticipantChoice | Literal[Invalid.VALUE]:
    common = {}
    if isinstance(choice, dict):
        common = {
            key: read_value(kind, choice[key], join(path, key), faults)
            for key, kind in _PARTICIPANT_KEYS.items()
            if key in choice
        }
        choice = {key: value for key, value in choice.items() if key not in common}
    plain = read_choice(ParticipantChoice, choice, kinds.participants, kinds.asking, path, faults)
    if plain is Invalid.VALUE or Invalid.VALUE in common.values():
        return Invalid.VALUE
    return replace(plain, **common)


def _note_keys(
    value: dict[str, object], known: Iterable[str], path: str, faults: list[Fault]
) -> None:
    later = [key for key in value if key in _NOT_YET and key not in known]
    faults.extend(Fault(join(path, key), f"{_NOT_YET[key]}; remove it") for key in later)
    rest = {key: item for key, item in value.items() if key not in later}
    note_unknown_keys(rest, known, path, faults)


def _plain_settings(choice: PluginChoice) -> dict[str, Any]:
    if isinstance(choice.settings, NotKnownHere):
        return {"target": choice.target, **choice.settings.own}
    plain: dict[str, Any] = _plain(choice.settings)
    if not choice.target:
        return plain
    own = {name: plain[name] for name in policys_fields(type(choice.settings))}
    return {"target": choice.target, **own}


def _plain(value: Any) -> Any:  # noqa: ANN401 - settings are of any type a plugin chose
    if isinstance(value, PluginChoice):
        common = {
            attribute.name: _plain(getattr(value, attribute.name))
            for attribute in fields(value)
            if attribute.name not in {"kind", "settings", "target"}
        }
        return {"kind": value.kind, **_plain_settings(value), **common}
    if isinstance(value, Policy):
        return {key: _plain(getattr(value, key)) for key in _POLICY_KEYS}
    if is_dataclass(value):
        return {
            attribute.name: _plain(getattr(value, attribute.name)) for attribute in fields(value)
        }
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
