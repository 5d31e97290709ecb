"""Cloud Run function: one HTTP request in, an answer of `rotation.app` out; no logic.

Serve it with ``functions-framework --target rotate --signature-type http``.
"""

import functions_framework
from flask import Request
from flask.typing import ResponseReturnValue

from rotation import wiring

_application = wiring.make_application()


@functions_framework.http
def rotate(request: Request) -> ResponseReturnValue:
    """Handle one delivery: an Eventarc CloudEvent or a raw Pub/Sub push."""
    sender = request.headers.get("authorization", "")
    return _application.handle(request.content_type or "", request.get_data(), sender)
