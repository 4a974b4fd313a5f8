"""Parts signed in one go are signed as each would be by itself."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aws.signer.address import BucketAddress
from aws.signer.credentials import SigningCredentials
from aws.signer.part_urls import PartUrls
from aws.signer.sigv4 import QuerySigner, SigningDay, stamp_of

REGION = "eu-central-1"
SECONDS = 900
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.text(
    st.sampled_from("aZ09-_.~/+ %s?#&=;:@"), min_size=1
)
headers = st.dictionaries(
    st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
        lambda name: name.lower() != "host"
    ),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20),
    max_size=3,
).filter(lambda given: len({name.lower() for name in given}) == len(given))
keys = st.builds(
    SigningCredentials,
    access_key_id=st.just("AKIAEXAMPLE"),
    secret_access_key=st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()),
    session_token=st.none() | st.from_regex(r"[A-Za-z0-9/+=]{1,200}", fullmatch=True),
)


@given(
    keys=keys,
    endpoint=st.sampled_from([None, "http://127.0.0.1:8333", "http://[::1]:8333/a%20b"]),
    key=texts,
    multipart_id=texts,
    parts=st.lists(st.tuples(st.integers(1, 10_000), headers), max_size=4),
)
def test_a_batch_is_signed_as_one_by_one(
    keys: SigningCredentials,
    endpoint: str | None,
    key: str,
    multipart_id: str,
    parts: list[tuple[int, dict[str, str]]],
) -> None:
    stamp = stamp_of(datetime(2030, 1, 1, tzinfo=UTC))
    day = SigningDay(keys, stamp[:8], REGION)
    address = BucketAddress.of("bucket", REGION, endpoint)
    path = address.path(key)
    urls = PartUrls(
        day, stamp, address=address, key=key, multipart_id=multipart_id, seconds=SECONDS
    )
    alone = QuerySigner(day, stamp, host=address.host, seconds=SECONDS)
    for number, given_headers in parts:
        query = {"uploadId": multipart_id, "partNumber": str(number)}
        signed = alone.query("PUT", path, query, given_headers)
        assert urls.url(number, given_headers) == f"{address.origin}{path}?{signed}"
