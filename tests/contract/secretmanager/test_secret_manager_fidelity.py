import re
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1.types import service
from google.protobuf import json_format
from secretmanager_rows import ROWS, Json, Row
from secretmanager_support import World, dotted

from rotation.emulator.secretmanager.messages import timestamp
from rotation.emulator.secretmanager.rpcs import RPCS

_CAPITAL = re.compile(r"([A-Z])")

CASES = [
    pytest.param(transport, row, id=f"{transport}-{row.name}")
    for row in ROWS
    for transport in row.transports
]


class Runner:
    """Runs the calls of a row with Google's Python client and keeps the answers as JSON."""

    def __init__(self, world: World, client: Json) -> None:
        self.world = world
        self.client = client
        self.answers: list[Any] = []

    def run(self, name: str, request: dict[str, Any]) -> None:
        match name:
            case "$advance":
                self.world.advance(request["seconds"])
                self.answers.append(None)
            case "$due":
                self.answers.append(self.world.controls.run_due())
            case _ if name.startswith("?"):
                with pytest.raises(exceptions.GoogleAPICallError):
                    self.run(name[1:], request)
                self.answers.append(None)
            case _:
                self.answers.append(self.call(name, request))

    def call(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        method = getattr(self.client, _CAPITAL.sub(r"_\1", name).lower()[1:])
        message = RPCS[name].request(**self.resolved(request))
        wrapper = getattr(service, f"{name}Request", None)
        response = method(request=wrapper.wrap(message) if wrapper else message)
        if name.startswith("List"):
            response = next(iter(response.pages))
        if response is None:
            return {}
        raw = type(response).pb(response) if wrapper else response
        return json_format.MessageToDict(raw)

    def resolved(self, value: Json) -> Json:
        if isinstance(value, list):
            return [self.resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ahead" in value:
            stamp = timestamp(self.world.clock.now())
            stamp.seconds += value["$ahead"]
            return stamp
        if "$result" in value:
            index, path = value["$result"]
            return dotted(self.answers[index], path)
        return {key: self.resolved(item) for key, item in value.items()}


@pytest.mark.parametrize(("transport", "row"), CASES)
def test_python_client_sees_what_the_real_service_does(
    transport: str, row: Row, world: World, request: pytest.FixtureRequest
) -> None:
    runner = Runner(world, request.getfixturevalue(f"{transport}_client"))
    *before, (name, body) = row.calls
    for call in before:
        runner.run(*call)
    if row.status:
        with pytest.raises(exceptions.GoogleAPICallError) as refusal:
            runner.run(name, body)
        assert _refusal(refusal.value) == (row.status, row.message)
    else:
        runner.run(name, body)
        answer = runner.answers[-1]
        expected = {path: runner.resolved(value) for path, value in row.fields.items()}
        assert {path: dotted(answer, path) for path in expected} == expected
        assert {path: dotted(answer, path) for path in row.absent} == dict.fromkeys(row.absent)
    if row.events is not None:
        assert world.broker.event_types == row.events


def _refusal(error: exceptions.GoogleAPICallError) -> tuple[str, str]:
    if error.grpc_status_code is not None and not hasattr(error.response, "json"):
        return error.grpc_status_code.name, error.message
    body = error.response.json()["error"]
    assert body["code"] == error.response.status_code
    return body["status"], body["message"]


def test_every_row_has_a_name_of_its_own() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
