"""The messages Secret Manager publishes: which attributes, which data.

It composes; it never sends.

1. Every accepted write is one event, sent to every topic of the secret.
2. The data is the secret or the version as compact JSON with sorted keys; never a payload.
3. ``timestamp`` is the moment of the change in Pacific time, up to six fraction digits, without
   trailing zeros.
4. TOPIC_CONFIGURED carries one attribute and no data.

https://cloud.google.com/secret-manager/docs/event-notifications
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from google.protobuf import json_format

from rotation.emulator.secretmanager.messages import Message
from rotation.emulator.secretmanager.names import SecretKey

#: Sends one message (topic, attributes, data) or raises `StatusError`.
Publish = Callable[[str, Mapping[str, str], bytes | None], None]

TOPIC_CONFIGURED: Final[Mapping[str, str]] = {"eventType": "TOPIC_CONFIGURED"}

_PACIFIC: Final = ZoneInfo("America/Los_Angeles")


@dataclass(frozen=True)
class Event:
    """Something that happened to a secret or one of its versions."""

    event_type: str
    key: SecretKey
    moment: datetime
    #: The secret or version as it is after the change.
    resource: Message = field(repr=False)
    #: ``REQUESTED`` or ``EXPIRATION``, of a deletion.
    delete_type: str = ""

    def attributes(self) -> dict[str, str]:
        """Compose the message's attributes."""
        attributes = {
            "eventType": self.event_type,
            "dataFormat": "JSON_API_V1",
            "secretId": str(self.key),
            "timestamp": pacific(self.moment),
        }
        if self.resource.name != attributes["secretId"]:
            attributes["versionId"] = self.resource.name
        if self.delete_type:
            attributes["deleteType"] = self.delete_type
        return attributes

    def data(self) -> bytes:
        """Compose the message's data."""
        fields = json_format.MessageToDict(self.resource)
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()


def pacific(moment: datetime) -> str:
    """Spell a moment as the ``timestamp`` attribute does."""
    text = moment.astimezone(_PACIFIC).isoformat()
    if "." not in text:
        return text
    head, zone = text[:-6], text[-6:]
    return head.rstrip("0") + zone
