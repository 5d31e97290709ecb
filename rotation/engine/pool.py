"""Keeps configured issuers between ticks, so that a warm instance saves a login and a read.

Rules of this module:
  1. An issuer is kept under the text of its secret's policy: a changed policy makes a new one.
  2. At most `SIZE` are kept; the one used longest ago is closed.
"""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

from msgspec.structs import replace

from rotation.model.names import SecretName
from rotation.model.policy import PluginChoice
from rotation.ports.issuer import Issuer, IssuerEnvironment

SIZE = 64


class IssuerPool:
    """Issuers by secret and policy."""

    def __init__(self, kinds: Mapping[str, type[Issuer]], environment: IssuerEnvironment) -> None:
        self._kinds = kinds
        self._environment = environment
        self._kept: OrderedDict[tuple[SecretName, str], Issuer] = OrderedDict()
        self._lock = Lock()

    def get(self, name: SecretName, policy_text: str, choice: PluginChoice) -> Issuer:
        """Return the issuer of one secret, made now or kept from an earlier tick."""
        key = (name, policy_text)
        evicted: list[Issuer] = []
        with self._lock:
            issuer = self._kept.pop(key, None)
            if issuer is None:
                environment = replace(self._environment, secret=str(name))
                issuer = self._kinds[choice.kind](choice.settings, environment)
            self._kept[key] = issuer
            while len(self._kept) > SIZE:
                evicted.append(self._kept.popitem(last=False)[1])
        for old in evicted:
            old.close()
        return issuer

    def close(self) -> None:
        """Close all issuers."""
        with self._lock:
            kept, self._kept = list(self._kept.values()), OrderedDict()
        for issuer in kept:
            issuer.close()
