import grpc
import pytest

from rotation.emulator.status import StatusError, failed_precondition, rest_body


@pytest.mark.parametrize(
    ("code", "http_status"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, 400),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.ALREADY_EXISTS, 409),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.UNKNOWN, 500),
    ],
)
def test_codes_have_googles_http_status(code: grpc.StatusCode, http_status: int) -> None:
    assert StatusError(code, "no").http_status == http_status


def test_refusals_are_spelled_as_googles_json() -> None:
    error = {"code": 400, "message": "not so", "status": "FAILED_PRECONDITION"}
    assert rest_body(failed_precondition("not so")) == {"error": error}


def test_faults_of_ours_are_internal_and_keep_their_text() -> None:
    body = rest_body(RuntimeError("payload hunter2"))
    assert body["error"]["status"] == "INTERNAL"
    assert "hunter2" not in str(body)
