"""Git's own HTTP server program (``git http-backend``) behind the small server."""

import base64
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.hosting.bare import GIT, NO_GIT
from tests.support.hosting.serving import Request, Response


def git_http(root: Path, password: str, prefix: str = "") -> Callable[[Request], Response]:
    """Serve the repositories below ``root`` to whoever knows the password."""

    def application(request: Request) -> Response:
        login = request.headers.get("authorization", "").removeprefix("Basic ")
        _, _, given = base64.b64decode(login).decode().partition(":")
        if given != password:
            return Response(401, None, {"WWW-Authenticate": 'Basic realm="git"'})
        return _backend(root, request, request.path.removeprefix(prefix))

    return application


def _backend(root: Path, request: Request, path: str) -> Response:
    assert GIT is not None, NO_GIT
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": path,
        "QUERY_STRING": request.raw_query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "REMOTE_USER": "rotation",
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        [GIT, "http-backend"],
        input=request.body,
        env=environment,
        capture_output=True,
        check=False,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    return Response(status, body, headers)
