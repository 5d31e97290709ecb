"""A synchronous client of the control API, for tests and demonstrations.

It only sends requests; what they do is documented in `rotation.emulator.secretmanager`.
"""

from collections.abc import Mapping
from typing import Any, Self

import httpx
import msgspec

from rotation.emulator.secretmanager.failures import Failure, Mode
from rotation.emulator.secretmanager.quotas import Limits


class Controls:
    """Steers an embedded Secret Manager; close it, or use it in a ``with`` block.

    Args:
        rest_url: Base URL of its REST endpoint.
    """

    def __init__(self, rest_url: str) -> None:
        self._http = httpx.Client(base_url=f"{rest_url}/embedded/v1/", trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def set_failure(
        self,
        mode: Mode | str,
        method: str = "*",
        *,
        count: int | None = None,
        after: int = 0,
        seconds: float = 0.0,
        writes: int = 0,
        permission: str = "",
    ) -> int:
        """Switch a `Failure` on; return its id for `clear_failures`."""
        failure = Failure(Mode(mode), method, count, after, seconds, writes, permission)
        return int(self._ask("POST", "failures", _fields(failure))["id"])

    def failures(self) -> list[dict[str, Any]]:
        """List the failures that are still to come."""
        return list(self._ask("GET", "failures")["failures"])

    def clear_failures(self, failure_id: int | None = None) -> None:
        """Switch one failure off, or all; calls held back are answered UNAVAILABLE."""
        self._ask("DELETE", "failures" if failure_id is None else f"failures/{failure_id}")

    def set_quotas(self, limits: Limits) -> None:
        """Refuse calls beyond the limits; ``Limits()`` switches quotas off."""
        self._ask("PUT", "quotas", _fields(limits))

    def calls(self) -> dict[str, int]:
        """Return how often each method was called since the last reset."""
        return dict(self._ask("GET", "calls")["calls"])

    def reset_calls(self) -> dict[str, int]:
        """Set all counters to zero; return what they were."""
        return dict(self._ask("DELETE", "calls")["calls"])

    def enforce_iam(self, *, enforced: bool = True) -> None:
        """Refuse callers who say who they are what no policy grants them; or stop that."""
        self._ask("PUT", "iam", {"enforced": enforced})

    def used_permissions(self) -> dict[str, dict[str, list[str]]]:
        """Return, for each caller, the permissions it used, and on which resources."""
        return dict(self._ask("GET", "iam")["used"])

    def denied_permissions(self) -> dict[str, dict[str, list[str]]]:
        """Return, for each caller, the permissions it was refused, and on which resources."""
        return dict(self._ask("GET", "iam")["denied"])

    def reset_used_permissions(self) -> dict[str, dict[str, list[str]]]:
        """Forget what was used; return what it was."""
        return dict(self._ask("DELETE", "iam/used")["used"])

    def advance(self, seconds: float) -> None:
        """Move the clock forward for everybody who shares it."""
        self._ask("POST", "clock", {"advance_seconds": seconds})

    def run_due(self) -> list[str]:
        """End and fire what is due now, without a scheduler; return the secrets that fired."""
        return list(self._ask("POST", "due")["fired"])

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
        response = self._http.request(method, path, json=body)
        if response.is_error:
            raise ValueError(response.json()["error"]["message"])
        return response.json()


def _fields(struct: Failure | Limits) -> dict[str, Any]:
    return dict(msgspec.to_builtins(struct))
