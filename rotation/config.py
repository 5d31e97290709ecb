"""Environment to frozen `Settings`; what is deployed reads ``os.environ`` nowhere else.

Rules of this module:
  1. Every variable is in the table of the README and has a default that is right on Cloud Run.
  2. None of them is a hook for tests: what embedded stacks add is in `rotation.local.embedded`.
  3. A faulty variable is named, with what it should be, when the process starts.
"""

import math
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from rotation.model.errors import PermanentError

_T = TypeVar("_T")

#: Where the project's id is looked for, in order.
_PROJECT = ("ROTATION_PROJECT", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")


class ConfigError(PermanentError):
    """An environment variable is missing or faulty.  The process does not start."""

    reason = "config-invalid"


class Settings(Struct, frozen=True):
    """How this process runs."""

    #: Project id whose secrets are listed; needed only by the sweep.
    project: str = ""
    #: Ids and numbers of the projects whose secrets may be rotated; empty: any that IAM allows.
    projects: frozenset[str] = frozenset()
    #: Number of that project; empty: asked of Secret Manager where names differ.
    project_number: str = ""
    #: File with the targets document; empty: policies may name any address.
    targets: Path | None = None
    #: ``projects/P/topics/T``: where wake-ups and routine requests are published.
    topic: str = ""
    #: Where emergencies, reverts, retirements and unblocking are asked for; empty: ``-emergency``
    #: after the name of the topic.
    emergency_topic: str = ""
    #: ``projects/P/subscriptions/S``: what such requests are believed from; empty: ``-function``
    #: after the name of that topic.
    emergency_subscription: str = ""
    #: Audience of the tokens that pushes carry; empty: none is accepted.
    push_audience: str = ""
    #: E-mail address of the account in them.
    push_account: str = ""
    #: Whether Cloud Run checks the signature of a token and removes it before the function gets it.
    push_signature_removed: bool = False
    #: ``host:port`` of an embedded Secret Manager; empty: Google's.
    secret_manager: str = ""
    #: Base URL of an embedded Secret Manager's REST API, in gcloud's own variable; empty: Google's.
    secret_manager_rest: str = ""
    #: Base URLs of further embedded REST APIs, in gcloud's own variables; empty: Google's.
    pubsub_rest: str = ""
    run_rest: str = ""
    scheduler_rest: str = ""
    projects_rest: str = ""
    iam_rest: str = ""
    #: Region of the function and of the sweep's job; empty: that of the push endpoint.
    region: str = ""
    #: Cloud Run service of the function, by id.
    service: str = "rotation"
    #: Cloud Scheduler job of the sweep, by id.
    sweep_job: str = "rotation-sweep"
    #: ``host:port`` of a Pub/Sub that is not Google's; empty: Google's.
    pubsub_emulator: str = ""
    #: Where an embedded stack's function listens; set only by that stack's own variables.
    function_url: str = ""
    lease: timedelta = timedelta(seconds=600)
    budget: timedelta = timedelta(seconds=480)
    sweep_every: timedelta = timedelta(seconds=300)
    check_every: timedelta = timedelta(days=1)
    #: Reads, and as many writes, that Secret Manager allows the project in a minute; 0: any number.
    quota_per_minute: float = 600
    #: File with the keys that records and receipts are signed with; None: nothing is signed.
    keys: Path | None = None
    #: Where commands keep what they need to go on after an interruption.
    state_dir: Path = Path("~/.local/state/rotation")

    @property
    def topic_of_emergencies(self) -> str:
        """Where privileged requests are published; empty: not known."""
        return self.emergency_topic or (self.topic and emergency_topic_of(self.topic))

    @property
    def subscription_of_emergencies(self) -> str:
        """The subscription by which alone privileged requests arrive; empty: not known."""
        derived = self.topic_of_emergencies.replace("/topics/", "/subscriptions/")
        return self.emergency_subscription or (derived and f"{derived}-function")

    def __post_init__(self) -> None:
        """Check what must hold between the times.

        Raises:
            ConfigError: The time budget does not end before the lease.
        """
        if self.budget >= self.lease:
            raise ConfigError(
                "ROTATION_BUDGET_SECONDS must be less than ROTATION_LEASE_SECONDS",
                remedy="on Cloud Run use 480 and 600: budget < function timeout < ack deadline "
                "<= lease",
            )


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises:
        ConfigError: A variable is faulty.
    """
    env = os.environ if environ is None else environ
    read = _Reader(env)
    base = Settings()
    return Settings(
        project=next(filter(None, (env.get(name) for name in _PROJECT)), ""),
        projects=frozenset(filter(None, env.get("ROTATION_PROJECTS", "").split(","))),
        project_number=env.get("ROTATION_PROJECT_NUMBER", ""),
        targets=Path(env["ROTATION_TARGETS"]) if env.get("ROTATION_TARGETS") else None,
        topic=env.get("ROTATION_TOPIC", ""),
        emergency_topic=env.get("ROTATION_EMERGENCY_TOPIC", ""),
        emergency_subscription=env.get("ROTATION_EMERGENCY_SUBSCRIPTION", ""),
        push_audience=env.get("ROTATION_PUSH_AUDIENCE", ""),
        push_account=env.get("ROTATION_PUSH_ACCOUNT", ""),
        push_signature_removed=_signature_removed(env.get("ROTATION_PUSH_SIGNATURE", "")),
        secret_manager=env.get("SECRET_MANAGER_ENDPOINT", ""),
        secret_manager_rest=env.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", ""),
        pubsub_rest=env.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB", ""),
        run_rest=env.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", ""),
        scheduler_rest=env.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDSCHEDULER", ""),
        projects_rest=env.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", ""),
        iam_rest=env.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM", ""),
        region=env.get("ROTATION_REGION", ""),
        service=env.get("ROTATION_SERVICE", "") or base.service,
        sweep_job=env.get("ROTATION_SWEEP_JOB", "") or base.sweep_job,
        pubsub_emulator=env.get("PUBSUB_EMULATOR_HOST", ""),
        function_url=env.get("ROTATION_FUNCTION_URL", ""),
        lease=read("ROTATION_LEASE_SECONDS", _seconds, base.lease),
        budget=read("ROTATION_BUDGET_SECONDS", _seconds, base.budget),
        sweep_every=read("ROTATION_SWEEP_SECONDS", _seconds, base.sweep_every),
        check_every=read("ROTATION_CHECK_SECONDS", _seconds, base.check_every),
        quota_per_minute=read("ROTATION_QUOTA_PER_MINUTE", _count, _default_quota(env)),
        keys=Path(env["ROTATION_KEYS"]) if env.get("ROTATION_KEYS") else None,
        state_dir=_state_dir(env),
    )


def emergency_topic_of(topic: str) -> str:
    """Return the topic of emergencies that belongs to a topic of wake-ups, by its name."""
    return f"{topic}-emergency"


def _signature_removed(text: str) -> bool:
    try:
        return {"": False, "verify": False, "removed-by-cloud-run": True}[text]
    except KeyError:
        raise ConfigError(
            "environment variable ROTATION_PUSH_SIGNATURE is neither verify nor"
            " removed-by-cloud-run",
            remedy="on Cloud Run with its check of callers use removed-by-cloud-run; elsewhere"
            " verify",
        ) from None


def _default_quota(env: Mapping[str, str]) -> float:
    """An embedded Secret Manager has no quotas unless they are switched on."""
    return 0 if env.get("SECRET_MANAGER_ENDPOINT") else Settings().quota_per_minute


def _state_dir(env: Mapping[str, str]) -> Path:
    """Follow the XDG base directories; a relative one counts for nothing, as they say."""
    base = Path(env.get("XDG_STATE_HOME", ""))
    return (base / "rotation" if base.is_absolute() else Settings().state_dir).expanduser()


def _count(text: str) -> float:
    count = float(text)
    if not 0 <= count < math.inf:
        raise ValueError(text)
    return count


def _seconds(text: str) -> timedelta:
    seconds = float(text)
    if seconds < 0:
        raise ValueError(text)
    return timedelta(seconds=seconds)


class _Reader:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def __call__(self, name: str, parse: Callable[[str], _T], default: _T) -> _T:
        text = self._env.get(name)
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, OverflowError):
            unit = " of seconds" if name.endswith("_SECONDS") else ""
            raise ConfigError(
                f"environment variable {name} is not a number{unit}",
                remedy=f"set it to a number, or unset it for {default}",
            ) from None
