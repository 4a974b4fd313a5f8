r"""The string that SNS signs, and the message it is made of.

Source: "Verifying the signatures of Amazon SNS messages" in the SNS developer guide. The string
is each signed field as `Name\nValue\n`, sorted by name; `Subject` only where there is one.
"""

import re
from collections.abc import Mapping
from typing import Literal, NewType, cast, get_args

from errors import WebhookMalformedError

MessageType = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]

# All fields are strings of a known shape, but nothing proves yet that SNS wrote them.
UnverifiedMessage = NewType("UnverifiedMessage", dict[str, str])
# The signature fits: SNS wrote the signed fields, for a topic of ours.
VerifiedMessage = NewType("VerifiedMessage", dict[str, str])

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_NOTIFICATION = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
_TYPES = get_args(MessageType)
_PROOF = ("SignatureVersion", "Signature", "SigningCertURL")
_MAX_CHARS = 4096  # of any field but Message
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def message_type(value: object) -> MessageType:
    if value not in _TYPES:
        raise WebhookMalformedError("The message is of no type that SNS sends")
    return cast("MessageType", value)


def unverified_message(body: Mapping[str, object]) -> UnverifiedMessage:
    """The fields that are signed or prove the signature; all others are dropped.

    Raises WebhookMalformedError where one is missing or is no text. A missing proof is the
    caller's to refuse: it comes back as an empty string.
    """
    kind = message_type(body.get("Type"))
    names = _NOTIFICATION if kind == "Notification" else _CONFIRMATION
    message = {name: _field(name, body.get(name)) for name in names}
    if kind == "Notification" and body.get("Subject") is not None:
        message["Subject"] = _field("Subject", body["Subject"])
    return UnverifiedMessage(message | {name: _field(name, body.get(name, "")) for name in _PROOF})


def canonical_string(message: UnverifiedMessage) -> bytes:
    signed = sorted(name for name in message if name not in _PROOF)
    return "".join(f"{name}\n{message[name]}\n" for name in signed).encode()


def _field(name: str, value: object) -> str:
    if not isinstance(value, str) or not _is_unicode(value):
        raise WebhookMalformedError("The message lacks a field that SNS sends, or it is no text")
    if name != "Message" and not _is_one_line(value):
        raise WebhookMalformedError("A field of the message is longer than one line of SNS's")
    return value


def _is_one_line(value: str) -> bool:
    # Only Message may hold line ends. So the signed string splits into fields in one way only,
    # and whoever may write into a Message cannot have it read as other fields.
    return len(value) <= _MAX_CHARS and _CONTROL.search(value) is None


def _is_unicode(value: str) -> bool:
    # JSON can spell lone surrogates, which cannot be encoded and so cannot have been signed.
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
