"""Read the JSON of a request body, for every embedded service alike.

It knows JSON; what the JSON means is the service's business.

1. Whatever cannot be read is one error: broken syntax, nesting without end, numbers of thousands
   of digits, and half a character (a lone surrogate), which no protobuf text can hold.
"""

import json
from typing import Any


def parse_json(text: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Return the document.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        document = json.loads(text)
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return document
