"""What every command is given: the adapters the environment describes, and the ways to answer.

1. Nothing is connected, and no library of Google imported, before a command asks for it; what
   stands behind a port is picked by `rotation.wiring`.
2. ``--project`` wins over the environment.
3. With ``--json`` a command prints one JSON object on standard output, and nothing else there.
"""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec.structs import replace

from rotation import config, wiring
from rotation.config import ConfigError, Settings, emergency_topic_of
from rotation.machine.requests import PRIVILEGED
from rotation.model.errors import BadNameError
from rotation.model.names import SecretName
from rotation.model.secret import Secret
from rotation.model.text import escaped, one_line
from rotation.model.wakeup import Ask

if TYPE_CHECKING:
    from rotation.engine.participants import Participants
    from rotation.engine.snapshot import Snapshot
    from rotation.model.plugin import Spec
    from rotation.model.policy import Policy
    from rotation.policies.policy import Kinds
    from rotation.policies.targets import Targets
    from rotation.ports.clock import Clock
    from rotation.ports.gate import Gate
    from rotation.ports.issuer import Issuer
    from rotation.ports.participant import OutsideParticipant, RidingParticipant
    from rotation.ports.publisher import Publisher
    from rotation.ports.secrets import SecretStore

_Command = TypeVar("_Command", bound=Callable[..., object])


class Context:
    """One run of the command line."""

    def __init__(self, project: str = "", *, as_json: bool = False) -> None:
        self._project = project
        self._closing = ExitStack()
        self._publishers: dict[str, Publisher] = {}
        #: Answer with one JSON object.
        self.json = as_json

    @cached_property
    def settings(self) -> Settings:
        """What the environment says.

        Raises:
            ConfigError: A variable is faulty.
        """
        found = config.from_environment()
        return replace(found, project=self._project) if self._project else found

    @property
    def project(self) -> str:
        """Id of the project.

        Raises:
            ConfigError: It is not given anywhere.
        """
        if self.settings.project:
            return self.settings.project
        raise ConfigError(
            "no project is set",
            remedy="give --project ID before the command, or set ROTATION_PROJECT",
        )

    @cached_property
    def store(self) -> "SecretStore":
        """Secret Manager."""
        store = wiring.make_store_of_a_person(self.settings, self.identity)
        self._closing.callback(store.close)
        return store

    @cached_property
    def clock(self) -> "Clock":
        """The system's clock, or the one of an embedded stack."""
        from rotation.local import embedded  # noqa: PLC0415 - rule 1

        return embedded.clock() or wiring.make_clock()

    @property
    def identity(self) -> str:
        """Whom embedded services take this command for; empty: their owner."""
        from rotation.local import embedded  # noqa: PLC0415 - rule 1

        return embedded.identity()

    @cached_property
    def issuers(self) -> Mapping[str, "type[Issuer]"]:
        """The issuers by the name policies use."""
        from rotation import registry  # noqa: PLC0415 - rule 1

        return registry.issuers()

    @cached_property
    def participants(self) -> Mapping[str, "type[RidingParticipant | OutsideParticipant]"]:
        """The participants by the name policies use."""
        from rotation import registry  # noqa: PLC0415 - rule 1

        return registry.participants()

    @cached_property
    def gates(self) -> Mapping[str, "type[Gate]"]:
        """The gates by the name policies use."""
        from rotation import registry  # noqa: PLC0415 - rule 1

        return registry.gates()

    @property
    def specs(self) -> "list[tuple[str, Spec]]":
        """What every plugin says of itself, with its kind; all of them are loaded.

        Raises:
            BadPluginError: Some are not fit to be used.
        """
        from rotation import registry  # noqa: PLC0415 - rule 1

        return registry.specs()

    @cached_property
    def kinds(self) -> "Kinds":
        """Settings record of each plugin."""
        from rotation import registry  # noqa: PLC0415 - rule 1

        plugins = self.issuers, self.participants, self.gates
        return registry.kinds(*plugins, self.targets)

    @cached_property
    def targets(self) -> "Targets | None":
        """What the deployment lets be touched; None: ``ROTATION_TARGETS`` names no document.

        Raises:
            PermanentError: The document cannot be read, or is faulty.
        """
        if self.settings.targets is None:
            return None
        plugins = self.issuers, self.participants, self.gates
        return wiring.make_targets(lambda: self.store, self.settings, *plugins)

    def snapshot(self, secret: Secret) -> "Snapshot":
        """Read where a secret stands, as the worker would read it.

        A target is not missed where no document is at hand: it is the function's, not a person's.
        """
        from rotation.engine.snapshot import read_snapshot  # noqa: PLC0415 - rule 1

        return read_snapshot(secret, self.clock.now(), self.kinds.looking(), self.participants)

    def rollout(self, policy: "Policy") -> "Participants":
        """Return the participants and gates of a policy, to be asked from here.

        Raises:
            PolicyError: No targets document is at hand.
        """
        _check_known(policy)
        environment = wiring.rollout_environment(self.store, self.settings.project)
        return wiring.make_rollout(policy, self.participants, self.gates, environment)

    def issuer(self, policy: "Policy") -> "Issuer":
        """Return the issuer of a policy, to be asked from here.

        Raises:
            PolicyError: No targets document is at hand.
        """
        _check_known(policy)
        environment = wiring.issuer_environment(self.store)
        return self.issuers[policy.issuer.kind](policy.issuer.settings, environment)

    def secret_name(self, text: str) -> SecretName:
        """Read a secret's id, or its full name.

        Raises:
            BadNameError: ``text`` is neither.
        """
        try:
            return SecretName.parse(text if "/" in text else str(SecretName(self.project, text)))
        except BadNameError:
            raise BadNameError(
                f"{text!r} is not the name of a secret",
                remedy="give its id, or projects/PROJECT/secrets/SECRET",
            ) from None

    def topic_for(self, what: Ask, secret: Secret) -> str:
        """Return the topic on which something is asked of a secret.

        Raises:
            ConfigError: It is not known.
        """
        if what not in PRIVILEGED:
            return self.topic(secret)
        configured = self.settings.emergency_topic
        return self._full(configured) if configured else emergency_topic_of(self.topic(secret))

    def topic(self, secret: Secret) -> str:
        """Return the topic that wakes the function: the configured one, or the secret's own.

        Raises:
            ConfigError: Neither exists, or the secret has several.
        """
        configured = self.settings.topic
        if configured:
            return self._full(configured)
        if len(secret.topics) == 1:
            return secret.topics[0]
        raise ConfigError(
            f"{secret.name} has {len(secret.topics)} topics, so the rotation topic is not known",
            remedy="set ROTATION_TOPIC to projects/PROJECT/topics/TOPIC",
        )

    def _full(self, topic: str) -> str:
        is_full = topic.startswith("projects/")
        return topic if is_full else f"projects/{self.project}/topics/{topic}"

    def publisher(self, topic: str) -> "Publisher":
        """Return the way to publish to a topic."""
        if topic not in self._publishers:
            publisher = wiring.make_publisher(self.settings, topic, self.identity)
            self._closing.callback(publisher.close)
            self._publishers[topic] = publisher
        return self._publishers[topic]

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return sys.stdout.isatty() and not self.json

    def answer(self, body: Mapping[str, Any], text: str) -> None:
        """Print the answer of a command: ``body`` with ``--json``, else ``text``."""
        click.echo(json.dumps(body, indent=2, default=_encode) if self.json else escaped(text))

    def say(self, line: str) -> None:
        """Tell a person what is going on; silent with ``--json``."""
        if not self.json:
            click.echo(escaped(line))

    def close(self) -> None:
        """Close what was opened.  May be called twice."""
        self._closing.close()


def json_option(command: _Command) -> _Command:
    """Let a command take ``--json`` after its name, too."""

    def switch_on(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
        if value:
            ctx.ensure_object(Context).json = True

    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=switch_on,
        help="Print one JSON object.",
    )(command)


def printable(text: str) -> str:
    r"""Return what others wrote on one line; what does not show is spelled as ``\uXXXX``."""
    return one_line(text)


def _check_known(policy: "Policy") -> None:
    from rotation.policies.choosing import check_known  # noqa: PLC0415 - rule 1

    check_known(policy)


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    raise TypeError(f"{type(value).__name__} is not JSON")
