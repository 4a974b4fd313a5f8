"""What the embedded store makes of our signatures: the terms are kept, not only signed."""

import asyncio
import base64
import secrets
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from service.clock import Clock, utc_now
from service.uploads.disposition import attachment, download_type
from service.uploads.model import Checksum
from service.uploads.signed import PartTerms, SignedForm, SignedRequest
from tests.integration.stack import Stack

BODY = b"twelve bytes"
BUCKET = "uploads"  # the embedded cloud's
UPLOAD_ID = "upl_0123456789"
NAME = "Ünï côde 漢字 😀 100% 'a'+(b).txt"
MIB = 1024 * 1024


def crc32(body: bytes) -> Checksum:
    return Checksum("CRC32", base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode())


def presigner(stack: Stack, *, clock: Clock = utc_now, secret: str | None = None) -> Presigner:
    cloud = stack.cloud
    keys = SigningCredentials(
        cloud.service_access_key_id, secret or cloud.service_secret_access_key
    )

    async def source() -> SigningCredentials:
        return keys

    return Presigner(
        credentials=source,
        region=cloud.region,
        endpoint=cloud.s3_endpoint,
        clock=clock,
    )


@pytest.fixture
def signer(stack: Stack) -> Presigner:
    return presigner(stack)


@pytest.fixture
async def anyone() -> AsyncIterator[httpx.AsyncClient]:
    """Without any credentials."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def s3(stack: Stack) -> Any:
    """The service's own keys, to look and to make multiparts with."""
    cloud = stack.cloud
    return boto3.client(
        "s3",
        region_name=cloud.region,
        endpoint_url=cloud.s3_endpoint,
        aws_access_key_id=cloud.service_access_key_id,
        aws_secret_access_key=cloud.service_secret_access_key,
        config=Config(
            s3={"addressing_style": "path"}, request_checksum_calculation="when_required"
        ),
    )


@pytest.fixture
def key() -> str:
    return f"signer/{secrets.token_hex(8)}/file.txt"


async def _put_terms(
    signer: Presigner, key: str, *, checksum: Checksum | None = None
) -> SignedRequest:
    return await signer.put(
        BUCKET,
        key,
        size=len(BODY),
        content_type="text/plain;  charset=utf-8",
        checksum=checksum,
        upload_id=UPLOAD_ID,
        seconds=60,
    )


async def _sent(
    anyone: httpx.AsyncClient, signed: SignedRequest, body: bytes = BODY, **other: str
) -> httpx.Response:
    """As a client that sets Content-Length by the body, as browsers do."""
    headers = {n: v for n, v in signed.headers.items() if n != "Content-Length"}
    return await anyone.put(signed.url, headers=headers | other, content=body)


def _head(s3: Any, stack: Stack, key: str) -> Any:
    return s3.head_object(Bucket=stack.cloud.bucket, Key=key, ChecksumMode="ENABLED")


async def _absent(anyone: httpx.AsyncClient, signer: Presigner, key: str) -> bool:
    return (await anyone.get((await _get(signer, key)).url)).status_code == 404


async def _get(signer: Presigner, key: str, content_type: str = "text/plain") -> SignedRequest:
    return await signer.get(
        BUCKET,
        key,
        version_id=None,
        content_disposition=attachment(NAME),
        content_type=download_type(content_type),
        seconds=60,
    )


async def test_a_put_on_its_terms_is_stored_with_our_uploads_id(
    stack: Stack, signer: Presigner, anyone: httpx.AsyncClient, s3: Any, key: str
) -> None:
    answer = await _sent(anyone, await _put_terms(signer, key))
    assert answer.status_code == 200, answer.text
    found = await asyncio.to_thread(_head, s3, stack, key)
    assert found["ContentLength"] == len(BODY)
    assert found["Metadata"] == {"uploadgate-upload-id": UPLOAD_ID}
    assert found["ContentType"].startswith("text/plain")


@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b"!"])
async def test_a_put_of_another_length_is_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, body: bytes
) -> None:
    answer = await _sent(anyone, await _put_terms(signer, key), body)
    assert answer.status_code == 403
    assert await _absent(anyone, signer, key)


@pytest.mark.parametrize(
    "header",
    [
        {"Content-Type": "text/html"},
        {"If-None-Match": '"other"'},
        {"x-amz-meta-uploadgate-upload-id": "upl_another"},
    ],
)
async def test_a_put_with_another_header_is_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, header: dict[str, str]
) -> None:
    answer = await _sent(anyone, await _put_terms(signer, key), BODY, **header)
    assert answer.status_code == 403
    assert await _absent(anyone, signer, key)


@pytest.mark.parametrize("name", ["Content-Type", "If-None-Match"])
async def test_a_put_without_a_signed_header_is_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, name: str
) -> None:
    signed = await _put_terms(signer, key)
    headers = {n: v for n, v in signed.headers.items() if n != name}
    answer = await anyone.put(signed.url, headers=headers, content=BODY)
    assert answer.status_code == 403
    assert await _absent(anyone, signer, key)


async def test_a_second_put_of_the_same_url_is_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str
) -> None:
    signed = await _put_terms(signer, key)
    assert (await _sent(anyone, signed)).status_code == 200
    assert (await _sent(anyone, signed, b"other bytes!")).status_code == 412
    assert (await anyone.get((await _get(signer, key)).url)).content == BODY


# The check values that the catalogues of CRCs print.
CHECKED = b"123456789"
CHECK_VALUES = {
    "CRC32": 0xCBF43926.to_bytes(4, "big"),
    "CRC64NVME": 0xAE8B14860A799888.to_bytes(8, "big"),
}


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
async def test_the_right_checksum_is_stored(
    stack: Stack, signer: Presigner, anyone: httpx.AsyncClient, s3: Any, *, key: str, algorithm: Any
) -> None:
    checksum = Checksum(algorithm, base64.b64encode(CHECK_VALUES[algorithm]).decode())
    signed = await signer.put(
        BUCKET,
        key,
        size=len(CHECKED),
        content_type="text/plain",
        checksum=checksum,
        upload_id=UPLOAD_ID,
        seconds=60,
    )
    answer = await _sent(anyone, signed, CHECKED)
    assert answer.status_code == 200, answer.text
    found = await asyncio.to_thread(_head, s3, stack, key)
    assert found[f"Checksum{algorithm}"] == checksum.value


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
async def test_bytes_that_differ_from_their_checksum_are_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, algorithm: Any
) -> None:
    wrong = {"CRC32": "AAAAAA==", "CRC64NVME": "AAAAAAAAAAA="}
    terms = await _put_terms(signer, key, checksum=Checksum(algorithm, wrong[algorithm]))
    answer = await _sent(anyone, terms)
    assert answer.status_code == 400
    assert await _absent(anyone, signer, key)


async def test_an_expired_url_is_refused(stack: Stack, anyone: httpx.AsyncClient, key: str) -> None:
    past = presigner(stack, clock=lambda: datetime.now(UTC) - timedelta(seconds=90))
    signed = await _put_terms(past, key)
    assert signed.expires_at < datetime.now(UTC)
    answer = await _sent(anyone, signed)
    assert answer.status_code == 403


async def test_a_url_of_another_secret_is_refused(
    stack: Stack, anyone: httpx.AsyncClient, key: str
) -> None:
    answer = await _sent(anyone, await _put_terms(presigner(stack, secret="guessed"), key))
    assert answer.status_code == 403


async def test_a_url_serves_no_other_key(
    signer: Presigner, anyone: httpx.AsyncClient, key: str
) -> None:
    signed = await _put_terms(signer, key)
    moved = SignedRequest(
        signed.url.replace("file.txt", "other.txt"), signed.headers, signed.expires_at
    )
    assert (await _sent(anyone, moved)).status_code == 403


@pytest.mark.parametrize(
    "name", ["a b+c~d%2Fe.txt", "Ünï/côde 漢字 😀.txt", "a=b&c;d,e:f@g$h!i'(j)*.txt"]
)
async def test_keys_of_any_spelling_come_back(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, name: str
) -> None:
    odd = f"{key}/{name}"
    answer = await _sent(anyone, await _put_terms(signer, odd))
    assert answer.status_code == 200, answer.text
    assert (await anyone.get((await _get(signer, odd)).url)).content == BODY


@pytest.mark.parametrize(
    ("content_type", "served"),
    [("text/plain", "text/plain"), ("text/html", "application/octet-stream")],
)
async def test_a_download_has_the_original_name_and_a_harmless_type(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, content_type: str, served: str
) -> None:
    await _sent(anyone, await _put_terms(signer, key))
    answer = await anyone.get((await _get(signer, key, content_type)).url)
    assert answer.status_code == 200
    assert answer.content == BODY
    assert answer.headers["Content-Disposition"] == attachment(NAME)
    assert answer.headers["Content-Type"] == served


async def test_the_longest_name_comes_back(
    signer: Presigner, anyone: httpx.AsyncClient, key: str
) -> None:
    await _sent(anyone, await _put_terms(signer, key))
    longest = attachment("😀" * 255 + ".txt")
    signed = await signer.get(
        BUCKET,
        key,
        version_id=None,
        content_disposition=longest,
        content_type="text/plain",
        seconds=60,
    )
    assert (await anyone.get(signed.url)).headers["Content-Disposition"] == longest


async def test_a_download_url_cannot_be_made_to_run_in_a_page(
    signer: Presigner, anyone: httpx.AsyncClient, key: str
) -> None:
    await _sent(anyone, await _put_terms(signer, key))
    signed = await _get(signer, key, "text/html")
    inline = signed.url.replace("application%2Foctet-stream", "text%2Fhtml")
    assert inline != signed.url
    assert (await anyone.get(inline)).status_code == 403
    assert (await anyone.put(signed.url, content=BODY)).status_code == 403


async def _multipart(s3: Any, stack: Stack, key: str, **more: str) -> str:
    place = {"Bucket": stack.cloud.bucket, "Key": key}
    begun = await asyncio.to_thread(s3.create_multipart_upload, **place, **more)
    found: str = begun["UploadId"]
    return found


async def test_parts_are_stored_and_become_the_file(
    stack: Stack, signer: Presigner, anyone: httpx.AsyncClient, s3: Any, key: str
) -> None:
    bodies = [secrets.token_bytes(5 * MIB), secrets.token_bytes(5 * MIB), b"the last"]
    multipart_id = await _multipart(
        s3, stack, key, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    terms = [
        PartTerms(number, len(body), crc32(body)) for number, body in enumerate(bodies, start=1)
    ]
    signed = await signer.parts(BUCKET, key, multipart_id, terms, seconds=60)
    pairs = zip(signed, bodies, strict=True)
    answers = await asyncio.gather(*(_sent(anyone, each, body) for each, body in pairs))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    place = {"Bucket": stack.cloud.bucket, "Key": key, "UploadId": multipart_id}
    parts = [
        {"PartNumber": number, "ETag": answer.headers["ETag"]}
        for number, answer in enumerate(answers, start=1)
    ]
    await asyncio.to_thread(s3.complete_multipart_upload, **place, MultipartUpload={"Parts": parts})
    assert (await anyone.get((await _get(signer, key)).url)).content == b"".join(bodies)


async def test_a_part_of_another_length_or_checksum_is_refused(
    stack: Stack, signer: Presigner, anyone: httpx.AsyncClient, s3: Any, key: str
) -> None:
    multipart_id = await _multipart(
        s3, stack, key, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    wrong = Checksum("CRC32", "AAAAAA==")
    terms = [PartTerms(1, len(BODY)), PartTerms(2, len(BODY), wrong)]
    length, checksum = await signer.parts(BUCKET, key, multipart_id, terms, seconds=60)
    assert (await _sent(anyone, length, BODY + b"!")).status_code == 403
    assert (await _sent(anyone, checksum)).status_code == 400
    place = {"Bucket": stack.cloud.bucket, "Key": key, "UploadId": multipart_id}
    listed = await asyncio.to_thread(s3.list_parts, **place)
    assert listed.get("Parts", []) == []


async def test_a_part_url_serves_no_other_number_and_no_completion(
    stack: Stack, signer: Presigner, anyone: httpx.AsyncClient, s3: Any, key: str
) -> None:
    multipart_id = await _multipart(s3, stack, key)
    (signed,) = await signer.parts(BUCKET, key, multipart_id, [PartTerms(1)], seconds=60)
    other = signed.url.replace("partNumber=1", "partNumber=2")
    assert (await anyone.put(other, content=BODY)).status_code == 403
    assert (await anyone.post(signed.url, content=BODY)).status_code == 403
    assert (await anyone.delete(signed.url)).status_code == 403


async def _form(signer: Presigner, key: str, seconds: int = 60) -> SignedForm:
    return await signer.post(
        BUCKET,
        key,
        smallest=2,
        largest=len(BODY),
        content_type="text/plain",
        upload_id=UPLOAD_ID,
        seconds=seconds,
    )


async def _posted(
    anyone: httpx.AsyncClient, form: SignedForm, body: bytes = BODY, **other: str
) -> httpx.Response:
    fields = {**form.fields, **other}
    return await anyone.post(form.url, data=fields, files={"file": ("name.txt", body)})


async def test_a_form_within_its_range_is_stored_with_our_uploads_id(
    stack: Stack, signer: Presigner, anyone: httpx.AsyncClient, s3: Any, key: str
) -> None:
    answer = await _posted(anyone, await _form(signer, key))
    assert answer.status_code == 201, answer.text
    assert "<ETag>" in answer.text
    found = await asyncio.to_thread(_head, s3, stack, key)
    assert found["ContentLength"] == len(BODY)
    assert found["ContentType"] == "text/plain"
    assert found["Metadata"] == {"uploadgate-upload-id": UPLOAD_ID}


@pytest.mark.parametrize("body", [b"1", BODY + b"!"])
async def test_a_form_out_of_its_range_is_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, body: bytes
) -> None:
    answer = await _posted(anyone, await _form(signer, key), body)
    assert answer.status_code == 400, answer.text
    assert await _absent(anyone, signer, key)


@pytest.mark.parametrize(
    "field",
    [
        {"key": "signer/elsewhere.txt"},
        {"Content-Type": "text/html"},
        {"x-amz-meta-uploadgate-upload-id": "upl_another"},
        {"x-amz-meta-more": "than agreed"},
        {"x-amz-signature": "0" * 64},
    ],
)
async def test_a_form_with_another_field_is_refused(
    signer: Presigner, anyone: httpx.AsyncClient, key: str, field: dict[str, str]
) -> None:
    answer = await _posted(anyone, await _form(signer, key), BODY, **field)
    assert answer.status_code == 403, answer.text
    assert await _absent(anyone, signer, key)


async def test_an_expired_form_is_refused(
    stack: Stack, anyone: httpx.AsyncClient, key: str
) -> None:
    past = presigner(stack, clock=lambda: datetime.now(UTC) - timedelta(seconds=90))
    answer = await _posted(anyone, await _form(past, key))
    assert answer.status_code in {400, 403}, answer.text
    assert await _absent(anyone, presigner(stack), key)
