"""A tag may be a scanner's verdict, so no uploader may set one.

AWS refuses all of this: a tag in a request needs `s3:PutObjectTagging`, and a header that a signed
address does not name is never taken. SeaweedFS takes one with `s3:PutObject`, but for the bucket's
policy (localcloud/store/policies.py), and in one way that no policy is asked about: as a header of
the request that brings a form. What is to be quarantined is therefore never sent by a form.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.integration import store
from tests.integration.sender import MIB, Sender, sender_at
from tests.integration.stack import Stack

CONTENT = b"who says that it is clean?"
TAG = {"x-amz-tagging": "Scan=CLEAN"}
CLEAN = {"TagSet": [{"Key": "Scan", "Value": "CLEAN"}]}


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


async def tags(stack: Stack, upload: Any) -> list[Any]:
    answer = await asyncio.to_thread(store.service(stack).get_object_tagging, **store.place(upload))
    found: list[Any] = answer["TagSet"]
    return found


async def in_an_own_place(stack: Stack, sender: Sender, name: str) -> tuple[Any, Any]:
    """The user's own client, and a key of their choice."""
    keys = await store.credentials(stack, sender.user)
    place = {"Bucket": keys["bucket"], "Key": f"{keys['key_prefix']}{name}"}
    return store.client(keys), place


def refused(call: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**request)
    code: str = caught.value.response["Error"]["Code"]
    return code


async def test_not_by_a_header_that_a_signed_put_does_not_name(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT))
    answer = await sender.put(upload["put"], CONTENT, **{"x-amz-tagging": "Scan=CLEAN"})
    assert (answer.status_code, await store.gone(stack, upload)) == (403, True)
    assert "x-amz-tagging" not in {name.lower() for name in upload["put"]["headers"]}
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    assert await tags(stack, upload) == []


async def test_not_by_the_address_itself(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    url = f"{upload['put']['url']}&x-amz-tagging=Scan%3DCLEAN"
    answer = await sender.put({**upload["put"], "url": url}, CONTENT)
    assert (answer.status_code, await store.gone(stack, upload)) == (403, True)


async def test_not_with_a_part(stack: Stack, sender: Sender) -> None:
    content = CONTENT + bytes(9 * MIB)
    upload = await sender.announce(len(content))
    for part in await sender.signed(upload, [1, 2]):
        size = upload["multipart"]["part_size"]
        body = content[size * (part["part_number"] - 1) :][:size]
        assert (await sender.put(part, body, **TAG)).status_code == 403
        assert (await sender.put(part, body)).status_code == 200
    done = await sender.completed(upload)
    assert await tags(stack, done) == []


async def test_not_with_the_beginning_of_a_multipart_at_a_signed_address(
    stack: Stack, sender: Sender, stranger: httpx.AsyncClient
) -> None:
    upload = await sender.announce(len(CONTENT))
    url = await asyncio.to_thread(
        store.service(stack).generate_presigned_url,
        "create_multipart_upload",
        Params=store.place(upload),
    )
    assert (await stranger.post(url, headers=TAG)).status_code == 403
    assert await store.no_multipart(stack, upload)


async def test_not_with_credentials_of_ones_own(stack: Stack, sender: Sender) -> None:
    client, place = await in_an_own_place(stack, sender, "mine.txt")

    def tries() -> list[str]:
        put = refused(client.put_object, **place, Body=CONTENT, Tagging="Scan=CLEAN")
        begun = refused(client.create_multipart_upload, **place, Tagging="Scan=CLEAN")
        client.put_object(**place, Body=CONTENT)
        return [
            put,
            begun,
            refused(client.put_object, **place, Body=CONTENT, Tagging=""),
            refused(client.put_object_tagging, **place, Tagging=CLEAN),
            refused(client.delete_object_tagging, **place),
            refused(client.get_object_tagging, **place),
            refused(
                client.copy_object,
                **place,
                CopySource=place,
                TaggingDirective="REPLACE",
                Tagging="Scan=CLEAN",
            ),
        ]

    assert await asyncio.to_thread(tries) == ["AccessDenied"] * 7
    assert await tags(stack, {"bucket": place["Bucket"], "key": place["Key"]}) == []


async def test_not_at_an_address_that_own_credentials_have_signed(
    stack: Stack, sender: Sender, stranger: httpx.AsyncClient
) -> None:
    client, place = await in_an_own_place(stack, sender, "signed.txt")
    request = {**place, "Tagging": "Scan=CLEAN"}
    url = await asyncio.to_thread(client.generate_presigned_url, "put_object", Params=request)
    assert (await stranger.put(url, content=CONTENT, headers=TAG)).status_code == 403


async def test_not_by_a_form_that_own_credentials_have_signed(
    stack: Stack, sender: Sender, stranger: httpx.AsyncClient
) -> None:
    """They sign none: SeaweedFS does not know them there."""
    client, place = await in_an_own_place(stack, sender, "form.txt")
    form = await asyncio.to_thread(client.generate_presigned_post, *place.values())
    for headers in ({}, TAG):
        answer = await stranger.post(
            form["url"], data=form["fields"], files={"file": CONTENT}, headers=headers
        )
        assert answer.status_code == 403


async def test_not_by_a_field_of_a_form(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    answer = await sender.post(upload["post"], CONTENT, **{"x-amz-tagging": "Scan=CLEAN"})
    assert (answer.status_code, await store.gone(stack, upload)) == (403, True)
    document = "<Tagging><TagSet><Tag><Key>Scan</Key><Value>CLEAN</Value></Tag></TagSet></Tagging>"
    assert (await sender.post(upload["post"], CONTENT, tagging=document)).status_code == 201
    assert await tags(stack, upload) == []


async def test_a_header_beside_a_form_is_taken_so_what_is_quarantined_has_no_form(
    stack: Stack, sender: Sender, stranger: httpx.AsyncClient
) -> None:
    """Should this fail, the store has become stricter. See tests/integration/test_quarantine.py
    for the other half.
    """
    upload = await sender.announce(len(CONTENT))
    form = upload["post"]
    await stranger.post(form["url"], data=form["fields"], files={"file": CONTENT}, headers=TAG)
    assert await tags(stack, upload) == CLEAN["TagSet"]


@pytest.fixture
async def stranger() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        yield client
