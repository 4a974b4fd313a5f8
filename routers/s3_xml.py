"""S3's XML, as far as a transfer manager's multipart needs it: the answers, and the one body.

Source: "CreateMultipartUpload", "CompleteMultipartUpload" and "ListParts" of the S3 API
Reference. No element is ever written empty (`<A/>`): Uppy's reader takes such a one for the
beginning of the next.
"""

from collections.abc import Sequence
from xml.parsers import expat
from xml.sax.saxutils import escape

from fastapi import Response

from errors import InvalidRequestError
from service.uploads.plan import MOST_PARTS
from service.uploads.ports import StoredPart

# Without a charset: Uppy reads an error's code only where the type is exactly this.
MEDIA_TYPE = "application/xml"
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_FIELD_DEPTH = 3  # CompleteMultipartUpload, Part, and a field of it


def document(root: str, *elements: str, namespace: str | None = NAMESPACE) -> Response:
    """Errors are the one answer without a namespace."""
    opening = root if namespace is None else f'{root} xmlns="{namespace}"'
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{opening}>{"".join(elements)}</{root}>'
    # A dependency's headers are not those of a response that a route makes itself.
    return Response(text, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


def element(name: str, text: str | int) -> str:
    return f"<{name}>{escape(str(text), {chr(34): '&quot;'})}</{name}>"


def part_elements(parts: Sequence[StoredPart]) -> str:
    """ETags in quotes, as S3 writes them."""
    return "".join(
        f"<Part>{element('PartNumber', part.number)}{element('ETag', quoted(part.etag))}"
        f"{element('Size', part.size)}</Part>"
        for part in parts
    )


def quoted(etag: str) -> str:
    return f'"{etag}"'


def unquoted(etag: str) -> str:
    """Clients send ETags with quotes, and without."""
    return etag.strip().strip('"')


def named_parts(body: bytes) -> dict[int, str]:
    """ETags without quotes by part number, of a CompleteMultipartUpload. Raises
    InvalidRequestError for anything else, and for a document type: entities could grow without
    end, or name files.
    """
    reader = _PartsReader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise InvalidRequestError("The body is no list of parts") from None
    return reader.parts


class _PartsReader:
    """Raises ValueError or KeyError. Names count with or without a namespace's prefix."""

    def __init__(self) -> None:
        self.parts: dict[int, str] = {}
        self._path: list[str] = []
        self._fields: dict[str, str] = {}

    def start(self, name: str, _: object) -> None:
        self._path.append(name.rpartition(":")[2])
        if self._path[0] != "CompleteMultipartUpload" or len(self._path) > _FIELD_DEPTH:
            raise ValueError
        if self._path[1:] == ["Part"]:
            self._fields = {}

    def text(self, text: str) -> None:
        if len(self._path) == _FIELD_DEPTH:
            self._fields[self._path[-1]] = self._fields.get(self._path[-1], "") + text

    def end(self, _: str) -> None:
        if self._path[1:] == ["Part"]:
            number, etag = int(self._fields["PartNumber"]), unquoted(self._fields["ETag"])
            if not 1 <= number <= MOST_PARTS or number in self.parts:
                raise ValueError
            self.parts[number] = etag
        self._path.pop()

    def refuse(self, *_: object) -> None:
        raise ValueError
