"""Reads which plugin a policy chooses: its kind, its target, and its settings.

Decides whether the deployment lets this secret have what its policy asks for; opens nothing.

1. What belongs to the target is never the policy's: address, trust, and what opens a system.
2. What is not allowed names the line of the targets document that forbids it, or that is missing.
3. Without a targets document (`ROTATION_TARGETS`), nothing that needs a target is allowed. The
   document is the function's: who only looks need not have it, and takes its targets as they are
   named (`NotKnownHere`); nobody can open anything with that.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from rotation.model.errors import NOT_ALLOWED, BadPluginError, PolicyError
from rotation.model.names import SecretName
from rotation.model.policy import NotKnownHere, PluginChoice, Policy
from rotation.model.target import Target, TargetSettings, fields_of, target_type
from rotation.policies.targets import NAME_PATTERN, Targets
from rotation.policies.typed import Fault, Invalid, join, nearest, read_part, read_record

_Choice = TypeVar("_Choice", bound=PluginChoice)
#: Who can change what is not allowed.
_OWNER = "whoever owns the deployment's targets document can"
#: What lets a target be known.
_SET = "set ROTATION_TARGETS to the deployment's targets document, on the function or in this shell"


@dataclass(frozen=True)
class Asking:
    """Whose policy is read, and what the deployment lets be touched."""

    #: None: no targets document is at hand.
    targets: Targets | None = None
    #: None: the policy is not that of a secret yet.
    secret: SecretName | None = None
    #: Whether a target is refused without a document; False: it is taken for one that the function
    #: knows.
    judge: bool = True


def check_known(policy: Policy) -> None:
    """Make sure that what a policy names can be opened from here.

    Raises:
        PolicyError: Of a target, no more is known here than its name.
    """
    if policy.not_known_here:
        names = ", ".join(policy.not_known_here)
        error = PolicyError(
            f"there is no targets document here, and the policy names {names}", remedy=_SET
        )
        error.reason = NOT_ALLOWED
        raise error


def read_choice(
    record: type[_Choice],
    choice: object,
    known: Mapping[str, type],
    asking: Asking,
    path: str,
    faults: list[Fault],
) -> _Choice | Literal[Invalid.VALUE]:
    """Read one plugin of a policy; `Invalid` when a fault was added."""
    settings_type = _settings_type(choice, known, path, faults)
    if settings_type is None or not isinstance(choice, dict):
        return Invalid.VALUE
    plain = {key: value for key, value in choice.items() if key not in {"kind", "target"}}
    kind = choice["kind"]
    if target_type(settings_type) is None:
        if "target" in choice:
            message = f"{kind} touches nothing that a target stands for; remove it"
            faults.append(Fault(join(path, "target"), message))
            return Invalid.VALUE
        settings = read_record(settings_type, plain, path, faults)
        return Invalid.VALUE if settings is Invalid.VALUE else record(kind, settings)
    if asking.targets is None:
        name = _name_alone(choice, settings_type, asking, path, faults)
        return record(kind, NotKnownHere(name, plain), target=name) if name else Invalid.VALUE
    target = _target(choice, settings_type, asking, path, faults)
    if target is None:
        return Invalid.VALUE
    settings = _read_on(target, settings_type, plain, path, faults)
    if settings is Invalid.VALUE or _note_refusals(target, settings, path, faults):
        return Invalid.VALUE
    return record(kind, settings, target=target.name)


def _settings_type(
    choice: object, known: Mapping[str, type], path: str, faults: list[Fault]
) -> type | None:
    kind = choice.get("kind") if isinstance(choice, dict) else None
    if not isinstance(kind, str):
        message = f"expected an object with the key 'kind'; {nearest('', known)}"
        faults.append(Fault(path, message))
        return None
    if kind not in known:
        every = ", ".join(sorted(known)) or "none"
        guess = nearest(kind, known)
        hint = f"; {guess}" if guess.startswith("did") else ""
        faults.append(Fault(join(path, "kind"), f"unknown kind; known are: {every}{hint}"))
        return None
    try:
        return known[kind]
    except BadPluginError as error:
        faults.append(Fault(join(path, "kind"), str(error)))
        return None


def _name_alone(
    choice: Mapping[str, object],
    settings_type: type,
    asking: Asking,
    path: str,
    faults: list[Fault],
) -> str:
    """Return the target that a policy names where no document is at hand; empty: it is refused."""
    before, name, owned = len(faults), choice.get("target"), _targets_fields(settings_type)
    if not isinstance(name, str):
        _note_no_target(choice, settings_type, [], path, faults)
        return ""
    if re.fullmatch(NAME_PATTERN, name) is None:
        faults.append(Fault(join(path, "target"), "no target can have this name", "targets"))
    elif asking.judge:
        message = f"there is no targets document here, so nothing may be touched; {_SET}"
        faults.append(Fault(join(path, "target"), message, "targets"))
    for key in sorted(owned & choice.keys()):
        message = f"this is the target's to say, at targets.{name}.{key}; remove it"
        faults.append(Fault(join(path, key), message, "targets"))
    own = {key: choice[key] for key in choice if key not in {"kind", "target"} | owned}
    read_part(settings_type, own, policys_fields(settings_type), path, faults)
    return name if len(faults) == before else ""


def _target(
    choice: Mapping[str, object],
    settings_type: type,
    asking: Asking,
    path: str,
    faults: list[Fault],
) -> Target | None:
    """Return the target that a policy names, when this secret may use it."""
    kind, targets, name = str(choice["kind"]), asking.targets, choice.get("target")
    if targets is None:
        return None
    usable = [target.name for target in targets if target.kind == kind]
    if not isinstance(name, str):
        _note_no_target(choice, settings_type, usable, path, faults)
        return None
    path = join(path, "target")
    target = targets.get(name)
    if target is None or target.kind != kind:
        message = f"no target of kind {kind} has this name; {nearest(name, usable)}"
        faults.append(Fault(path, message, "targets"))
        return None
    if asking.secret is not None and targets.line_for(target, asking.secret) is None:
        by = f"targets.{name}.secrets"
        message = f"{asking.secret} may not use {name}: {by} does not name it; {_OWNER} add it"
        faults.append(Fault(path, message, by))
        return None
    return target


def _note_no_target(
    choice: Mapping[str, object],
    settings_type: type,
    usable: list[str],
    path: str,
    faults: list[Fault],
) -> None:
    kind, guess = choice["kind"], f"; {nearest('', usable)}" * bool(usable)
    message = f"the key 'target' is missing: say which {kind} it is{guess}"
    # What only a target may say is not forgotten, but wanted.
    owned = sorted(_targets_fields(settings_type) & choice.keys())
    more = f"; remove {', '.join(owned)}: a target of the targets document says it"
    faults.append(Fault(path, message + more * bool(owned), "targets" * bool(owned)))


def _read_on(
    target: Target, settings_type: type, plain: dict[str, object], path: str, faults: list[Fault]
) -> Any:  # noqa: ANN401 - settings are of any type a plugin chose
    """Read the policy's part of the settings, on the target's."""
    given = fields_of(target.settings)
    owned = [key for key in plain if key in given]
    for key in owned:
        message = f"this is the target's to say, at targets.{target.name}.{key}; remove it"
        faults.append(Fault(join(path, key), message, f"targets.{target.name}.{key}"))
    if owned:
        return Invalid.VALUE
    return read_record(settings_type, plain, path, faults, given)


def _note_refusals(
    target: Target, settings: TargetSettings, path: str, faults: list[Fault]
) -> bool:
    refusals = list(settings.refusals())
    for refusal in refusals:
        by = f"targets.{target.name}.{refusal.by}"
        message = f"{refusal.message}: {by} does not allow it; {_OWNER} change that"
        faults.append(Fault(path, message, by))
    return bool(refusals)


def places(document: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield where each plugin of a policy stands, and what stands there; it may be faulty."""
    if not isinstance(document, dict):
        return
    found = [("issuer", document.get("issuer"))]
    for index, stage in enumerate(_listed(document.get("rollout"))):
        for key in ("participants", "gates") if isinstance(stage, dict) else ():
            path = f"rollout[{index}].{key}"
            found += [(f"{path}[{n}]", choice) for n, choice in enumerate(_listed(stage.get(key)))]
    yield from ((path, choice) for path, choice in found if isinstance(choice, dict))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def policys_fields(settings: type) -> list[str]:
    """Return the names of the settings that a policy writes where a target has the others."""
    owned = _targets_fields(settings)
    return [field.name for field in fields(settings) if field.name not in owned]


def _targets_fields(settings_type: type) -> set[str]:
    part = target_type(settings_type)
    return {field.name for field in fields(part)} if part else set()
