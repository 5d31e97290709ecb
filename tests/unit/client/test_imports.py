"""What an application pays for `import rotation.client`, and for a gate that is not used."""

import subprocess
import sys

import pytest

HEAVY = (
    "rotation.engine", "rotation.app", "rotation.registry", "rotation.machine", "google.auth",
    "google.api_core", "google.cloud.secretmanager_v1", "grpc", "psycopg", "psycopg_pool", "httpx",
    "requests", "flask",
)  # fmt: skip
#: Whoever reads a policy has it; an application need not.
RECORDS = "msgspec"
NETWORK = ("http.client", "urllib.request", "ssl", "concurrent.futures", "http.server")
GATES = ("sessions", "http", "prometheus", "consumers")


def loaded_by(statement: str) -> set[str]:
    command = f"import sys; {statement}; print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", command], check=True, capture_output=True, text=True
    )
    return set(answer.stdout.split())


def test_the_client_brings_neither_the_engine_nor_a_driver() -> None:
    assert loaded_by("import rotation.client") & {*HEAVY, RECORDS} == set()


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_brings_nothing_before_it_looks(gate: str) -> None:
    assert loaded_by(f"import rotation.gates.{gate}") & {*HEAVY, *NETWORK} == set()


def test_a_heavy_import_would_be_seen() -> None:
    assert "ssl" in loaded_by("import ssl")
