"""How many secrets the doctor looks at, how fast, and what it says of that first."""

from datetime import UTC, date, datetime, timedelta

from rotation.doctor.effort import MOST, READS, Effort, cost, sample
from rotation.model.names import SecretName
from rotation.model.secret import Secret

DAY = date(2026, 11, 22)


def secrets(count: int) -> list[Secret]:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return [Secret(SecretName("p", f"s-{number:05}"), "e", made) for number in range(count)]


def test_few_secrets_are_all_looked_at_at_once_and_without_a_word() -> None:
    few = secrets(MOST)
    assert sample(few, DAY) == few
    assert Effort(MOST, MOST, 600).interval == 0
    assert cost(Effort(MOST, MOST, 600)) == ""


def test_a_sample_is_the_same_within_a_day_and_comes_to_all_in_time() -> None:
    many = secrets(10 * MOST)
    assert sample(many, DAY) == sample(many, DAY)
    assert len(sample(many, DAY)) == MOST
    days = [sample(many, DAY + timedelta(days=number)) for number in range(10)]
    assert sorted(secret.name for drawn in days for secret in drawn) == [
        secret.name for secret in many
    ]


def test_ten_thousand_take_half_of_the_quota_and_the_cost_is_shown_first() -> None:
    whole = Effort(10_000, 10_000, 600)
    assert READS * 60 / whole.interval == 300
    assert cost(whole) == (
        "10000 secrets: about 40000 reads of Secret Manager in 133 min,"
        " 50% of the quota of 600 a minute"
    )
    assert cost(Effort(MOST, 10_000, 600)) == (
        "10000 secrets: looking at 100 of them, others every day; about 400 reads of Secret"
        " Manager. All of them: --all, about 40000 reads of Secret Manager in 133 min,"
        " 50% of the quota of 600 a minute"
    )


def test_without_a_quota_nothing_waits() -> None:
    assert Effort(10_000, 10_000, 0).interval == 0
