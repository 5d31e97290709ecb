"""What others wrote never steers a terminal or turns its direction: it is spelled."""

import json
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rotation.cli import main as entry
from rotation.cli.commands.doctor import _finding_lines
from rotation.cli.commands.policy import policy
from rotation.cli.views import adoption, wording
from rotation.cli.views.context import Context, printable
from rotation.engine.snapshot import Snapshot
from rotation.issuers.postgresql import ISSUER
from rotation.model.adoption import IssuerPlan, Step
from rotation.model.errors import PermanentError
from rotation.model.names import SecretName
from rotation.model.plugin import Finding, Severity
from rotation.model.secret import Secret
from rotation.policies.policy import Kinds

NASTY = "a\x1b[2J\u202eb\u2066c\u2028d\x9be"
SPELLED = "a\\u001b[2J\\u202eb\\u2066c\\u2028d\\u009be"
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NAME = SecretName("p", "orders")


def test_foreign_text_is_spelled_on_one_line() -> None:
    assert printable(NASTY) == SPELLED
    assert printable("one\ntwo") == "one two"


@pytest.mark.parametrize("say", [Context.say, lambda c, text: c.answer({}, text)])
def test_whatever_a_command_says_is_spelled(say: Any, capsys: pytest.CaptureFixture[str]) -> None:
    say(Context(), f"first\n  {NASTY}")
    assert capsys.readouterr().out == f"first\n  {SPELLED}\n"


def test_an_error_is_spelled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def failing() -> None:
        raise PermanentError(f"somebody wrote {NASTY}")

    monkeypatch.setattr(entry, "rotation", failing)
    assert entry.main([]) == 1
    err = capsys.readouterr().err
    assert "\\u202eb" in err
    assert err.strip().isprintable()


def test_a_policy_as_json_is_the_same_json_and_shows() -> None:
    secret = Secret(NAME, "e", NOW, annotations={"rotation.policy": json.dumps({"x": NASTY})})

    class Shown:
        json = True
        kinds = Kinds({}, {})
        store = type("Store", (), {"get": staticmethod(lambda _: secret)})

        @staticmethod
        def secret_name(_: str) -> SecretName:
            return NAME

    found = CliRunner().invoke(policy, ["show", "orders"], obj=Shown())
    assert all(line.isprintable() for line in found.output.splitlines())
    assert json.loads(found.output)["policy"] == {"x": NASTY}


def test_a_pause_is_spelled() -> None:
    pause = json.dumps({"since": "2026-11-25T11:00:00Z", "reason": NASTY, "requested_by": NASTY})
    labels = {"rotation_paused": "yes"}
    secret = Secret(NAME, "e", NOW, labels=labels, annotations={"rotation.paused": pause})
    lines = list(wording.details(Snapshot(secret, NOW)))
    assert all(line.isprintable() for line in lines), lines


def test_findings_and_steps_are_spelled() -> None:
    finding = Finding("check", Severity.ERROR, NASTY, NASTY)
    step = Step("x", NASTY, "", done=False, commands=(f"run {NASTY}\nagain",), waits=NASTY)
    report = adoption.AdoptionReport(
        secret=NAME,
        outcome="planned",
        found=IssuerPlan((finding,), ()),
        steps=(step,),
        policy="",
        rights=(),
        spec=ISSUER.adoption,
    )
    doctor = type("F", (), {"severity": Severity.ERROR, "check": "policy-missing",
                            "message": NASTY, "remedy": NASTY})()  # fmt: skip
    for text in [*report.text().split("\n"), *_finding_lines(doctor)]:
        assert text.isprintable(), text
    assert report.text().count(SPELLED) == 5
