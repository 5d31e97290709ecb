from datetime import timedelta
from pathlib import Path

import pytest

from rotation import config
from rotation.config import ConfigError

README = Path(config.__file__).parent.parent / "README.md"


def test_an_empty_environment_has_the_values_of_cloud_run() -> None:
    settings = config.from_environment({})
    assert settings.lease == timedelta(seconds=600)
    assert settings.budget < settings.lease
    assert settings.secret_manager == ""


def test_variables_are_read() -> None:
    settings = config.from_environment(
        {
            "GOOGLE_CLOUD_PROJECT": "acme",
            "ROTATION_PROJECTS": "acme,123",
            "ROTATION_LEASE_SECONDS": "10",
            "ROTATION_BUDGET_SECONDS": "8.5",
        }
    )
    assert settings.project == "acme"
    assert settings.projects == {"acme", "123"}
    assert settings.budget == timedelta(seconds=8.5)


@pytest.mark.parametrize("text", ["soon", "-1", "1e999", "nan"])
def test_a_faulty_number_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="ROTATION_LEASE_SECONDS is not a number of seconds"):
        config.from_environment({"ROTATION_LEASE_SECONDS": text})


def test_a_budget_that_outlives_the_lease_is_refused() -> None:
    with pytest.raises(ConfigError, match="480 and 600"):
        config.from_environment({"ROTATION_LEASE_SECONDS": "300"})


def test_every_variable_is_in_the_readme() -> None:
    names = {
        word
        for line in Path(config.__file__).read_text().splitlines()
        for word in line.replace('"', " ").replace(",", " ").split()
        if word.startswith(("ROTATION_", "SECRET_MANAGER_")) and word.isupper()
    }
    assert names
    assert [name for name in names if name not in README.read_text()] == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 600),
        ({"SECRET_MANAGER_ENDPOINT": "127.0.0.1:1"}, 0),
        ({"SECRET_MANAGER_ENDPOINT": "127.0.0.1:1", "ROTATION_QUOTA_PER_MINUTE": "600"}, 600),
        ({"ROTATION_QUOTA_PER_MINUTE": "3000"}, 3000),
    ],
)
def test_googles_quota_is_kept_where_nobody_says_otherwise(
    environment: dict[str, str], expected: float
) -> None:
    assert config.from_environment(environment).quota_per_minute == expected


@pytest.mark.parametrize("text", ["many", "-1", "inf", "nan"])
def test_a_faulty_quota_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="ROTATION_QUOTA_PER_MINUTE is not a number"):
        config.from_environment({"ROTATION_QUOTA_PER_MINUTE": text})
