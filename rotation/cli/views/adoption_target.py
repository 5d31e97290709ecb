"""The target of a secret that is adopted: its name, and what the deployment has to say of it.

It reads what the targets document and the stored policy say, and changes neither.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from rotation.adopt import plan
from rotation.model.adoption import IssuerPlan
from rotation.model.secret import Secret
from rotation.model.target import Target, fields_of, target_type

if TYPE_CHECKING:
    from rotation.policies.targets import Targets


class AdoptionTarget:
    """What the deployment lets be touched for one secret, or shall."""

    def __init__(
        self, targets: "Targets | None", secret: Secret, chosen: str, settings: type
    ) -> None:
        """Find the name.

        Args:
            targets: None: no targets document is at hand.
            secret: As it is stored.
            chosen: Name of the target, if no policy names one; empty: the secret's id.
            settings: Record of the issuer's settings.
        """
        self._targets, self._secret = targets, secret
        own = issuer_of(secret).get("target") or chosen or secret.name.secret_id.lower()
        self.name = str(own)
        part = target_type(settings)
        #: Settings that a target says, never a policy.
        self.owned = frozenset(field.name for field in fields(part)) if part else frozenset()

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the document says already."""
        return fields_of(self._found.settings) if self._found else {}

    def lacking(self, wanted: plan.Wanted, found: IssuerPlan) -> dict[str, Any]:
        """Return what the document has to say before the secret can be rotated, by name."""
        if (
            self._targets
            and self._found
            and self._targets.line_for(self._found, wanted.secret.name)
        ):
            return {}
        return plan.targets_of(wanted, found)

    @property
    def _found(self) -> Target | None:
        return self._targets.get(self.name) if self._targets else None


def issuer_of(secret: Secret) -> dict[str, Any]:
    """Return the ``issuer`` of the policy that is there; text that is none counts as none."""
    try:
        document = json.loads(secret.annotations.get(plan.POLICY, "{}"))
    except ValueError:
        return {}
    issuer = document.get("issuer", {}) if isinstance(document, dict) else {}
    return dict(issuer) if isinstance(issuer, dict) else {}
