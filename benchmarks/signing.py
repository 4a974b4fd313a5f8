"""`python -m benchmarks.signing`: what a signature costs, ours and the others' (decision 0009).

All sign the same UploadPart (temporary credentials, Content-Length signed), which is checked before
anything is timed, and a form of the same fields. awscrt is measured where it is installed; it is no
dependency of the service, because with it botocore signs and transfers by other code.
"""

import asyncio
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

os.environ["BOTO_DISABLE_CRT"] = "true"  # botocore's own code is measured as botocore

import boto3
from botocore import auth as botocore_auth
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from aws.signer.sigv4 import QuerySigner, SigningDays, stamp_of
from service.clock import utc_now
from service.uploads.signed import PartTerms

try:
    import awscrt.auth
    import awscrt.http
except ImportError:
    awscrt = None

_ROUNDS = 7
_BATCH = 100
_REGION, _BUCKET, _KEY = "eu-central-1", "bucket", "users/42/upl_01/holiday.mp4"
_HOST = f"{_BUCKET}.s3.{_REGION}.amazonaws.com"
_UPLOAD_ID, _SIZE, _SECONDS = "2~" + "u" * 60, 8 * 1024 * 1024, 3600
_ID, _SECRET, _TOKEN = "ASIAEXAMPLE", "an example of a secret", "tO/k+n" * 130 + "=="
_LIBRARIES = ("botocore", "boto3", "awscrt", "aioboto3")

One = Callable[[int], Awaitable[str]]
"""Signs one part, by its number: the URL."""


_CREDENTIALS = SigningCredentials(_ID, _SECRET, _TOKEN)


async def _keys() -> SigningCredentials:
    return _CREDENTIALS


class _Now:
    """The time, which stands still for the check alone."""

    clock = staticmethod(utc_now)

    def __call__(self) -> datetime:
        return self.clock()


_NOW = _Now()
_OURS = Presigner(credentials=_keys, region=_REGION, endpoint=None, clock=_NOW)
_DAYS = SigningDays(_REGION)


async def _ours(number: int) -> str:
    """The signature alone, as awscrt is measured."""
    stamp = stamp_of(_NOW())
    day = _DAYS.of(_CREDENTIALS, stamp[:8])
    signer = QuerySigner(day, stamp, host=_HOST, seconds=_SECONDS)
    query = {"uploadId": _UPLOAD_ID, "partNumber": str(number)}
    path = f"/{_KEY}"
    signed = signer.query("PUT", path, query, {"Content-Length": str(_SIZE)})
    return f"https://{_HOST}{path}?{signed}"


async def _presigner(number: int) -> str:
    """All that a request of the service asks for: credentials, life, address, signature."""
    (signed,) = await _OURS.parts(
        _BUCKET, _KEY, _UPLOAD_ID, [PartTerms(number, size=_SIZE)], seconds=_SECONDS
    )
    return signed.url


def _client() -> Any:
    return boto3.client(
        "s3",
        region_name=_REGION,
        aws_access_key_id=_ID,
        aws_secret_access_key=_SECRET,
        aws_session_token=_TOKEN,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )


_CLIENT = _client()


async def _generate(number: int) -> str:
    found: str = _CLIENT.generate_presigned_url(
        "upload_part",
        Params={
            "Bucket": _BUCKET,
            "Key": _KEY,
            "UploadId": _UPLOAD_ID,
            "PartNumber": number,
            "ContentLength": _SIZE,
        },
        ExpiresIn=_SECONDS,
    )
    return found


_AUTH = S3SigV4QueryAuth(Credentials(_ID, _SECRET, _TOKEN), "s3", _REGION, expires=_SECONDS)


async def _auth(number: int) -> str:
    request = AWSRequest(
        "PUT",
        f"https://{_HOST}/{_KEY}",
        headers={"Content-Length": str(_SIZE)},
        params={"uploadId": _UPLOAD_ID, "partNumber": str(number)},
    )
    _AUTH.add_auth(request)
    return str(request.url)


def _crt() -> One:
    provider = awscrt.auth.AwsCredentialsProvider.new_static(_ID, _SECRET, _TOKEN)

    async def sign(number: int) -> str:
        config = awscrt.auth.AwsSigningConfig(
            algorithm=awscrt.auth.AwsSigningAlgorithm.V4,
            signature_type=awscrt.auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
            credentials_provider=provider,
            region=_REGION,
            service="s3",
            date=_NOW(),
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value="UNSIGNED-PAYLOAD",
            expiration_in_seconds=_SECONDS,
        )
        headers = awscrt.http.HttpHeaders([("host", _HOST), ("content-length", str(_SIZE))])
        path = f"/{_KEY}?partNumber={number}&uploadId={_UPLOAD_ID}"
        request = awscrt.http.HttpRequest("PUT", path, headers)
        # Done before it returns: static credentials are not waited for.
        signed = awscrt.auth.aws_sign_request(request, config).result()
        return f"https://{_HOST}{signed.path}"

    return sign


async def _our_form() -> str:
    form = await _OURS.post(
        _BUCKET, _KEY, largest=_SIZE, content_type="video/mp4", upload_id="upl_01", seconds=_SECONDS
    )
    return form.fields["x-amz-signature"]


async def _their_form() -> str:
    fields = {
        "Content-Type": "video/mp4",
        "success_action_status": "201",
        "x-amz-meta-uploadgate-upload-id": "upl_01",
    }
    conditions = [{name: value} for name, value in fields.items()]
    form = _CLIENT.generate_presigned_post(
        _BUCKET,
        _KEY,
        Fields=fields,
        Conditions=[["content-length-range", 0, _SIZE], *conditions],
        ExpiresIn=_SECONDS,
    )
    return str(form["fields"]["x-amz-signature"])


@contextmanager
def _standing_clock() -> Iterator[None]:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    theirs = vars(botocore_auth)["get_current_datetime"]
    vars(botocore_auth)["get_current_datetime"] = lambda *_, **__: at
    _NOW.clock = lambda: at
    try:
        yield
    finally:
        vars(botocore_auth)["get_current_datetime"] = theirs
        _NOW.clock = utc_now


async def _check(signers: dict[str, One]) -> None:
    with _standing_clock():
        urls = {name: await sign(7) for name, sign in signers.items()}
    signatures = {url.rpartition("&X-Amz-Signature=")[2] for url in urls.values()}
    if len(signatures) != 1:
        raise SystemExit(f"not the same work: {urls}")


async def _microseconds(work: Callable[[], Awaitable[object]], signatures: int) -> float:
    """The median of some rounds of about 0.3 s of processor time, a signature."""
    once = -time.process_time()
    await work()
    once += time.process_time()
    times = max(1, round(0.3 / max(once, 1e-6)))
    taken = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        for _ in range(times):
            await work()
        taken.append((time.process_time() - began) / times / signatures * 1e6)
    return statistics.median(taken)


def _batches(signers: dict[str, One]) -> dict[str, Callable[[], Awaitable[object]]]:
    def one_by_one(sign: One) -> Callable[[], Awaitable[object]]:
        async def work() -> None:
            for number in range(1, _BATCH + 1):
                await sign(number)

        return work

    parts = [PartTerms(number, size=_SIZE) for number in range(1, _BATCH + 1)]
    found = {name: one_by_one(sign) for name, sign in signers.items()}
    return found | {
        "Presigner.parts": lambda: _OURS.parts(_BUCKET, _KEY, _UPLOAD_ID, parts, seconds=_SECONDS)
    }


def _say_versions() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    for name in _LIBRARIES:
        try:
            print(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed")


async def main() -> None:
    _say_versions()
    signers: dict[str, One] = {
        "generate_presigned_url": _generate,
        "S3SigV4QueryAuth": _auth,
        "QuerySigner (ours)": _ours,
        "Presigner.parts": _presigner,
    }
    if awscrt is not None:
        signers["awscrt"] = _crt()
    await _check(signers)
    print(f"\nµs a signature, medians of {_ROUNDS} rounds")
    for name, sign in signers.items():
        print(f"one part       {name:24}{await _microseconds(partial(sign, 7), 1):8.1f}")
    for name, work in _batches(signers).items():
        print(f"{_BATCH} at once    {name:24}{await _microseconds(work, _BATCH):8.1f}")
    for name, form in {"generate_presigned_post": _their_form, "Presigner.post": _our_form}.items():
        print(f"POST policy    {name:24}{await _microseconds(form, 1):8.1f}")


if __name__ == "__main__":
    asyncio.run(main())
