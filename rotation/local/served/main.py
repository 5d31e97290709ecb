"""The function as an embedded stack serves it: ``main.py`` with the stack's clock and hooks.

In a folder of its own, since the functions framework puts the folder of its source on the path.
"""

import functions_framework
from flask import Request
from flask.typing import ResponseReturnValue

from rotation.emulator.loopback import MISDIRECTED, REFUSAL, is_local
from rotation.local import embedded

_application = embedded.make_application()


@functions_framework.http
def rotate(request: Request) -> ResponseReturnValue:
    """Handle one delivery, as the deployed function does; a page in a browser delivers none."""
    if not is_local(request.headers.get("Host", "")):
        return REFUSAL, MISDIRECTED
    sender = request.headers.get("authorization", "")
    return _application.handle(request.content_type or "", request.get_data(), sender)
