"""S3's wire for one bucket, as far as the service asks it: multiparts and what comes of them.

Parts are put there by the test, as a client would at a presigned address, or over the wire, as a
relay does. Nothing checks a signature.
"""

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.fakes import cognito_api
from tests.fakes.http_stub import Reply, Request

_MARK = "x-amz-meta-uploadgate-upload-id"
_OF_A_STORE = {"x-amz-request-id": "18EB80081BCF5E38"}
_XML = {"Content-Type": "application/xml"}


@dataclass
class Multipart:
    key: str
    upload_id: str
    parts: dict[int, tuple[int, str]] = field(default_factory=dict)


@dataclass
class Object:
    size: int
    etag: str
    upload_id: str
    content_type: str = "text/plain"


class S3Api:
    """Callable as an HttpStub's answer. Knows every user at Cognito besides. A `failure` is what
    the store answers to everything.
    """

    def __init__(self) -> None:
        self.failure: Reply | None = None
        self.multiparts: dict[str, Multipart] = {}
        self.objects: dict[str, Object] = {}
        self.made = 0

    def put(self, multipart_id: str, *sizes: int) -> dict[int, str]:
        """Parts 1, 2, …; their ETags, as the store would have answered them."""
        named = {}
        for number, size in enumerate(sizes, 1):
            named[number] = hashlib.md5(f"{number}:{size}".encode()).hexdigest()  # noqa: S324
            self.multiparts[multipart_id].parts[number] = (size, named[number])
        return named

    def store(
        self, key: str, size: int, upload_id: str = "", content_type: str = "text/plain"
    ) -> None:
        """An object, as a client would have put it in one request."""
        self.objects[key] = Object(size, "etag-of-one", upload_id, content_type)

    def __call__(self, request: Request) -> Reply:
        if "x-amz-target" in request.headers:
            return cognito_api.cognito(request)
        if self.failure is not None:
            return self.failure
        address = urlsplit(request.target)
        _, _, key = unquote(address.path).lstrip("/").partition("/")
        query = parse_qs(address.query, keep_blank_values=True)
        if "uploads" in query:
            return self._uploads(request, key, query.get("prefix", [""])[0])
        if "uploadId" in query:
            return self._multipart(request, key, query)
        return self._object(request, key)

    def _uploads(self, request: Request, key: str, prefix: str) -> Reply:
        if request.method == "GET":
            listed = [
                f"<Upload><Key>{made.key}</Key><UploadId>{escape(name)}</UploadId></Upload>"
                for name, made in self.multiparts.items()
                if made.key.startswith(prefix)
            ]
            return _answer("ListMultipartUploadsResult", "".join(listed))
        self.made += 1
        name = f"made~{self.made}&<b>"
        self.multiparts[name] = Multipart(key, request.headers.get(_MARK, ""))
        return _answer("InitiateMultipartUploadResult", f"<UploadId>{escape(name)}</UploadId>")

    def _multipart(self, request: Request, key: str, query: dict[str, list[str]]) -> Reply:
        name = query["uploadId"][0]
        found = self.multiparts.get(name)
        if found is None or found.key != key:
            return _error(404, "NoSuchUpload")
        if request.method == "PUT":
            etag = hashlib.md5(request.body).hexdigest()  # noqa: S324
            found.parts[int(query["partNumber"][0])] = (len(request.body), etag)
            return Reply(headers={"ETag": f'"{etag}"'})
        if request.method == "GET":
            listed = [
                f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{etag}&quot;</ETag>"
                f"<Size>{size}</Size><LastModified>2030-01-01T00:00:00Z</LastModified></Part>"
                for number, (size, etag) in sorted(found.parts.items())
            ]
            return _answer("ListPartsResult", f"<IsTruncated>false</IsTruncated>{''.join(listed)}")
        del self.multiparts[name]
        if request.method == "DELETE":
            return Reply(204)
        return self._complete(request, found)

    def _complete(self, request: Request, found: Multipart) -> Reply:
        numbers = re.findall(rb"<PartNumber>(\d+)</PartNumber>", request.body)
        size = sum(found.parts[int(number)][0] for number in numbers)
        self.objects[found.key] = Object(size, f"whole-{len(numbers)}", found.upload_id)
        return _answer("CompleteMultipartUploadResult", f"<ETag>whole-{len(numbers)}</ETag>")

    def _object(self, request: Request, key: str) -> Reply:
        found = self.objects.get(key)
        if request.method == "PUT":
            if found is None:
                self.store(key, len(request.body), request.headers.get(_MARK, ""))
            return Reply(200 if found is None else 412)
        if found is None:
            return Reply(404, b"", _OF_A_STORE)
        if request.method == "DELETE":
            del self.objects[key]
            return Reply(204)
        headers = {
            **_OF_A_STORE,
            "ETag": f'"{found.etag}"',
            "Content-Type": found.content_type,
            _MARK: found.upload_id,
        }
        return Reply(headers=headers, promised=found.size)


def _answer(root: str, body: str) -> Reply:
    return Reply(body=f"<{root}>{body}</{root}>".encode(), headers=_XML)


def _error(status: int, code: str) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code></Error>".encode(), _XML)
