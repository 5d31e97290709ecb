from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from secretmanager_support import World

NAME = "projects/123456789012/secrets/app"
APP = "/v1/projects/demo-project/secrets/app"
AUTOMATIC = {"replication": {"automatic": {}}}


@pytest.fixture
def http(world: World) -> Iterator[httpx.Client]:
    url = world.background.served.rest_url
    with httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def create(http: httpx.Client, **secret: Any) -> dict[str, Any]:
    answer = http.post(f"{APP[:-4]}?secretId=app", json={**AUTOMATIC, **secret})
    assert answer.status_code == 200
    return dict(answer.json())


UNKNOWN_X = 'Invalid JSON payload received. Unknown name "x"'
REFUSED_BODIES = {
    "unknown-field": (
        {"x": 1},
        f"{UNKNOWN_X} at 'secret': Cannot find field.",
    ),
    "unknown-nested-field": (
        {"rotation": {"x": 1}},
        f"{UNKNOWN_X} at 'secret.rotation': Cannot find field.",
    ),
    "unknown-field-in-a-list": (
        {"topics": [{"x": 1}]},
        f"{UNKNOWN_X} at 'secret.topics[0]': Cannot find field.",
    ),
    "list-for-a-map": (
        {"labels": ["a"]},
        "Invalid value at 'secret' (Map), Cannot bind a list to map for field 'labels'.",
    ),
    "two-expirations": (
        {"ttl": "60s", "expireTime": "2040-01-01T00:00:00Z"},
        (
            "Invalid value at 'secret' (oneof), oneof field 'expiration' is already set. "
            "Cannot set 'expireTime'"
        ),
    ),
    "number-for-a-string": ({"labels": {"a": 1}}, "Request contains an invalid argument."),
    "text-for-a-time": ({"expireTime": "soon"}, "Request contains an invalid argument."),
    "text-for-a-version": (
        {"versionAliases": {"a": "b"}},
        "Request contains an invalid argument.",
    ),
}


@pytest.mark.parametrize(("body", "message"), REFUSED_BODIES.values(), ids=REFUSED_BODIES)
def test_bodies_that_cannot_be_read_are_refused_in_googles_words(
    http: httpx.Client, body: dict[str, Any], message: str
) -> None:
    answer = http.post(f"{APP[:-4]}?secretId=app", json={**AUTOMATIC, **body})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    }


def test_unknown_field_of_a_whole_body_has_no_place(http: httpx.Client) -> None:
    create(http)
    answer = http.post(f"{APP}:addVersion", json={"x": 1})
    message = 'Invalid JSON payload received. Unknown name "x": Cannot find field.'
    assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"'])
def test_what_is_no_json_object_is_refused(http: httpx.Client, body: bytes) -> None:
    create(http)
    answer = http.post(f"{APP}:addVersion", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_both_spellings_are_read_and_camel_case_is_written(http: httpx.Client) -> None:
    create(http, version_destroy_ttl="86400s")
    http.post(f"{APP}:addVersion", json={"payload": {"data": "b25l"}})
    for mask, field in (
        ("version_aliases", "versionAliases"),
        ("versionAliases", "version_aliases"),
    ):
        answer = http.patch(APP, params={"updateMask": mask}, json={field: {field[:7]: "01"}})
        assert answer.json()["versionAliases"] == {field[:7]: "1"}
    assert answer.json()["versionDestroyTtl"] == "86400s"


def test_snake_case_parameters_are_read(http: httpx.Client) -> None:
    create(http, labels={"a": "1"})
    answer = http.patch(f"{APP}?update_mask=labels", json={})
    assert "labels" not in answer.json()


def test_one_topic_is_taken_as_a_list_of_one(http: httpx.Client) -> None:
    topic = {"name": "projects/demo-project/topics/rotation"}
    assert create(http, topics=topic)["topics"] == [topic]


def test_answers_leave_out_what_is_empty(http: httpx.Client) -> None:
    answer = create(http, annotations={}, labels={})
    assert set(answer) == {"name", "replication", "createTime", "etag"}


def test_missing_mask_is_refused_and_an_empty_one_changes_nothing(http: httpx.Client) -> None:
    created = create(http, labels={"a": "1"})
    answer = http.patch(APP, json={"labels": {}})
    assert answer.json()["error"]["message"] == "Field [update_mask] is required."
    answer = http.patch(f"{APP}?updateMask=", json={"labels": {}})
    assert answer.json()["labels"] == {"a": "1"}
    assert answer.json()["etag"] != created["etag"]


def test_creation_without_an_id_is_refused(http: httpx.Client) -> None:
    answer = http.post(APP[:-4], json=AUTOMATIC)
    assert answer.json()["error"]["message"] == "Secret ID must be provided."


def test_etag_of_a_deletion_is_in_the_query(http: httpx.Client) -> None:
    created = create(http)
    assert http.delete(APP, params={"etag": '"1"'}).status_code == 400
    assert http.delete(APP, params={"etag": created["etag"]}).json() == {}


def test_states_may_be_asked_for_as_numbers(http: httpx.Client) -> None:
    create(http)
    answer = http.post(
        f"{APP}:addVersion?$alt=json;enum-encoding=int", json={"payload": {"data": "b25l"}}
    )
    assert answer.json()["state"] == 1
    assert http.get(f"{APP}/versions/1?alt=json").json()["state"] == "ENABLED"


def test_unknown_parameters_are_refused(http: httpx.Client) -> None:
    answer = http.get("/v1/projects/demo-project/secrets?colour=red")
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert 'Unknown name "colour": Cannot bind query parameter.' in message


@pytest.mark.parametrize("path", ["/v1/nothing", f"{APP}:explode", "/v1/projects/p/secrets/a/b"])
def test_unknown_paths_are_not_found(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


def test_policy_version_is_read_from_a_dotted_parameter(http: httpx.Client) -> None:
    create(http)
    answer = http.get(f"{APP}:getIamPolicy?options.requestedPolicyVersion=3")
    assert answer.json() == {"etag": "ACAB"}


def test_locations_are_listed(http: httpx.Client) -> None:
    listed = http.get("/v1/projects/demo-project/locations").json()["locations"]
    assert listed[0]["locationId"] == "europe-west1"
    assert http.get(f"/v1/{listed[0]['name']}").json() == listed[0]
    assert http.get("/v1/projects/demo-project/locations/atlantis").status_code == 404
