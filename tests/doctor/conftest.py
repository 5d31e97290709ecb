from collections.abc import Iterator

import pytest

from rotation.local.stack import Stack
from rotation.local.stack.sample import create_sample
from tests.doctor.patient import Patient


@pytest.fixture(scope="session")
def _hospital() -> Iterator[Patient]:
    """One stack for all; its secret has been rotated once."""
    with Stack() as stack, pytest.MonkeyPatch.context() as environment:
        create_sample(stack, frozenset())
        patient = Patient(stack, environment)
        fresh = {finding["check"] for finding in patient.look()}
        assert fresh == {"never-rotated"}
        assert patient.run("rotate", "orders")[0] == 0
        patient.remember()
        yield patient
        patient.close()


@pytest.fixture
def patient(_hospital: Patient) -> Iterator[Patient]:
    """A sound installation, before and after the test."""
    with pytest.MonkeyPatch.context() as environment:
        _hospital.environment = environment
        yield _hospital
    _hospital.mend()
    assert _hospital.look() == []
    assert _hospital.code == 0
