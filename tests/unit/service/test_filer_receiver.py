"""The filer's door: who holds no token changes nothing and learns nothing."""

import json

import pytest

from errors import WebhookForgedError, WebhookMalformedError
from service.completion.sources.filer import FilerReceiver

OLD, NEW = "the-old-token-of-the-filer", "the-new-token-of-the-filer"
BODY = json.dumps(
    {
        "key": "/buckets/uploads/us-east-1:abc/a.txt",
        "message": {"new_entry": {"name": "a.txt", "attributes": {"file_size": 5}}},
    }
).encode()


def receiver() -> FilerReceiver:
    return FilerReceiver(tokens=[OLD, NEW], bucket="uploads")


@pytest.mark.parametrize("token", [OLD, NEW])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_two_tokens_are_good_while_one_is_being_replaced(scheme: str, token: str) -> None:
    (event,) = await receiver().receive(BODY, {"authorization": f"{scheme} {token}"})
    assert (event.bucket, event.key, event.size) == ("uploads", "us-east-1:abc/a.txt", 5)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        OLD,
        f"Basic {OLD}",
        f"Digest {OLD}",  # as long as "Bearer"
        f"Bearer {OLD}x",
        f"Bearer {OLD[:-1]}",
        f"Bearer {OLD.upper()}",
        f"Bearer {OLD} {NEW}",
        "Bearer tökén",
        "Bearer \udcff",
        "Bearer \x00",
    ],
)
@pytest.mark.parametrize("body", [BODY, b"{", b""])
async def test_without_a_good_token_the_body_is_not_even_read(
    header: str | None, body: bytes
) -> None:
    headers = {} if header is None else {"authorization": header}
    with pytest.raises(WebhookForgedError) as caught:
        await receiver().receive(body, headers)
    assert OLD not in str(caught.value)


async def test_a_message_of_another_shape_is_refused() -> None:
    with pytest.raises(WebhookMalformedError):
        await receiver().receive(b"[]", {"authorization": f"Bearer {NEW}"})


async def test_a_message_of_no_object_has_no_event() -> None:
    other = BODY.replace(b"/buckets/uploads/", b"/buckets/other/")
    assert await receiver().receive(other, {"authorization": f"Bearer {NEW}"}) == []
