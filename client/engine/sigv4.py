"""Addresses signed with temporary credentials of one's own (SigV4 in the query).

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from client.grants import Issued
from client.wire import Place

_LIFE = timedelta(minutes=15)
_SHORTEST = 1


class _Auth(S3SigV4QueryAuth):
    """By the service's clock: this machine's may be wrong by more than a store allows."""

    def __init__(self, issued: Issued, moment: datetime) -> None:
        keys = issued.keys
        left = (keys.expires_at - moment).total_seconds()
        super().__init__(
            Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token),
            "s3",
            issued.place.region,
            expires=max(_SHORTEST, int(min(left, _LIFE.total_seconds()))),
        )
        self._moment = moment.strftime(SIGV4_TIMESTAMP)

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = self._moment
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # in no stub


def signed_put(
    issued: Issued,
    key: str,
    headers: Mapping[str, str],
    query: Mapping[str, str | int],
    *,
    now: datetime,
) -> str:
    """The address of a PUT to `key` with exactly these headers; `now` by this machine's clock.
    As good as the bytes: it reaches no log.
    """
    url = address_of(issued.place, key)
    if query:
        url += f"?{urlencode(query, quote_via=quote)}"
    request = AWSRequest("PUT", url, headers=dict(headers))
    _Auth(issued, now + issued.skew).add_auth(request)
    return str(request.url)


def address_of(place: Place, key: str) -> str:
    """By the bucket's own host at AWS, by path elsewhere and where its name has dots, which no
    certificate of AWS covers.
    """
    path = quote(key, safe="/-_.~")
    if place.endpoint is not None:
        return f"{place.endpoint.rstrip('/')}/{place.bucket}/{path}"
    suffix = "amazonaws.com.cn" if place.region.startswith("cn-") else "amazonaws.com"
    host = f"s3.{place.region}.{suffix}"
    if "." in place.bucket:
        return f"https://{host}/{place.bucket}/{path}"
    return f"https://{place.bucket}.{host}/{path}"
