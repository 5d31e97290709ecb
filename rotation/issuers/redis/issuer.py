"""Rotate the password of one ACL user, on every node: the new one is added, then the old removed.

Rules of this module:
  1. A handle follows from the rotation; a password that somebody else set has one by its hash.
  2. A credential works on every node before it is reported to be minted.
"""

import re
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, ClassVar, Final

from rotation.issuers.redis import record
from rotation.issuers.redis.record import Key
from rotation.issuers.redis.settings import Login, RedisSettings
from rotation.issuers.redis.spec import SPEC
from rotation.kit.credentials.credential import PayloadShape, compose_object, login_in
from rotation.kit.credentials.shapes import Found, find_in_url
from rotation.model.errors import MissingLibraryError, RotationError
from rotation.model.password import Password
from rotation.model.payload import Payload, PayloadError
from rotation.model.plugin import Finding, IssuerSpec, Minted, Severity, Verification
from rotation.ports.issuer import IssuerEnvironment, MintRequest

if TYPE_CHECKING:
    from rotation.issuers.redis.nodes import Nodes

#: Keys of the payload: the handle, and the beginning of the password's hash, so that a handle that
#: was copied by hand beside another password does not count.
KEY_ID, KEY_CHECK = "key_id", "key_check"
_SHAPE: Final = PayloadShape()
_ID: Final = re.compile(r"k-[0-9a-f]{16}(-2)?")


class Redis:
    """The issuer for one ACL user; see `rotation.ports.issuer.Issuer` for the contract."""

    spec: ClassVar[IssuerSpec] = SPEC

    def __init__(self, settings: RedisSettings, environment: IssuerEnvironment) -> None:
        self._settings = settings
        self._environment = environment

    @cached_property
    def _nodes(self) -> "Nodes":
        """What needs the library; what the issuer says of itself does not.

        Raises:
            MissingLibraryError: It is not installed.
        """
        try:
            from rotation.issuers.redis.nodes import Nodes  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("rotation"):
                raise
            raise MissingLibraryError(
                f"the issuer redis needs the library {error.name}, which is not installed",
                remedy="install it where this runs: deploy/requirements-redis.txt, or"
                " pip install 'rotation[redis]'",
            ) from None
        return Nodes(self._settings, self._environment)

    def connect(self) -> None:
        """Prove that the first node lets the rotator in, and that it is of a kind we know."""
        with self._nodes.log_in(self._settings.servers[0]) as server:
            server.refuse_other_kinds()

    def close(self) -> None:
        """Forget the rotator's login; no connection is kept."""
        vars(self).pop("_nodes", None)

    def location(self) -> str:
        """Name the first node and the user."""
        return f"{self._settings.servers[0]}/{self._settings.user}"

    def reads(self) -> tuple[str, ...]:
        """Return the version with the rotator's login."""
        return (self._settings.admin_version,)

    def identify(self, payload: Payload) -> str:
        """Return the id of a password that rotation made, or the beginning of another's hash."""
        return self._key_in(payload).handle

    def next_handle(self, current: Payload | None, rotation_id: str) -> str:
        """Return the id of the password that this rotation makes."""
        made = f"k-{blake2b(rotation_id.encode(), digest_size=8).hexdigest()}"
        return f"{made}-2" if current is not None and self.identify(current) == made else made

    def propose(self, handle: str, rotation_id: str, current: Payload | None) -> Payload:
        """Compose a candidate with a new random password."""
        first, user = self._settings.servers[0], self._settings.user
        place = {"host": first.host, "port": first.port}
        fields = compose_object(_SHAPE, user, rotation_id, current, place, _find).fields()
        check = _digest(fields[_SHAPE.password])[: record.SHOWN]
        return Payload.of(fields | {KEY_ID: handle, KEY_CHECK: check})

    def mint(self, request: MintRequest) -> Minted:
        """Let the user log in with the candidate, too."""
        key = replace(
            self._key_in(request.proposed), handle=request.handle, version=request.version
        )
        current = self._key_in(request.current) if request.current else None
        self._nodes.change(request.token, record.mint(key, current))
        return Minted(request.handle, request.proposed)

    def verify(self, payload: Payload, minted: Minted | None = None) -> Verification:  # noqa: ARG002 - ACLs do not replicate
        """Log in to every node as a consumer."""
        login = self._login_in(payload)
        passed = [self._nodes.prove(node, login) for node in self._settings.servers]
        nodes = tuple(str(node) for node in self._settings.servers)
        return Verification(nodes=nodes, identity=login.user, probes=min(passed))

    def suspend(self, handle: str, token: int) -> None:
        """Refuse logins with the password; its hash is remembered."""
        self._nodes.take_away(handle, token, record.suspend(handle), end=False)

    def restore(self, handle: str, token: int) -> None:
        """Let the same password log in again."""
        self._nodes.change(token, record.restore(handle))

    def revoke(self, handle: str, token: int) -> int:
        """Refuse logins with the password for ever, and end the sessions that may have used it."""
        return self._nodes.take_away(handle, token, record.revoke(handle), end=True)

    def preflight(self, current: Payload | None, token: int | None = None) -> tuple[Finding, ...]:
        """Look at every node, and log in as a consumer where there is a password in force."""
        nodes, key = self._nodes, self._key_in(current) if current else None
        from rotation.issuers.redis.check import examine  # noqa: PLC0415 - not for a tick

        findings = [*examine(self._settings, nodes, key, token)]
        if current is None:
            findings.append(Finding("login", Severity.UNTESTED, "no password is in force yet"))
            return tuple(findings)
        try:
            done = self.verify(current)
        except RotationError as error:
            findings.append(Finding("login", Severity.ERROR, str(error.args[0]), error.remedy))
        else:
            text = f"{done.identity} logs in to {', '.join(done.nodes)}"
            findings.append(Finding("login", Severity.OK, text))
        return tuple(findings)

    def _key_in(self, payload: Payload) -> Key:
        digest = _digest(self._login_in(payload).password.reveal())
        fields = payload.fields() if payload.is_object else {}
        handle, check = fields.get(KEY_ID), fields.get(KEY_CHECK)
        if check == digest[: record.SHOWN] and isinstance(handle, str) and _ID.fullmatch(handle):
            return Key(handle, "live", 0, digest)
        return Key(record.by_hash(digest), "live", 0, digest)

    def _login_in(self, payload: Payload) -> Login:
        user, password = login_in(payload, _SHAPE, _find)
        if user != self._settings.user:
            raise PayloadError(
                f"the payload is not a login of {self._settings.user}, but of another user",
                remedy="correct user in the policy, or add a version of this user",
            )
        if not _can_be_sent(password):
            raise PayloadError(
                "the payload's password holds a character that cannot be sent",
                remedy="add a version with the password that the server knows",
            )
        return Login(user, password)


def _can_be_sent(password: Password) -> bool:
    try:
        return bool(password.reveal().encode())
    except UnicodeEncodeError:
        return False


def _digest(password: str) -> str:
    return sha256(password.encode()).hexdigest()


def _find(text: bytes) -> Found | None:
    return find_in_url(text.decode(errors="replace"))
