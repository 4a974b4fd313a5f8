"""Lists of multiparts, page by page: where the next page begins, and what one holds.

Source: "ListMultipartUploads", S3 API Reference. AWS goes on from a key and an id together.
SeaweedFS 4.48 goes on from the id alone: a key marker makes it list that key only, and it names
none. Of a page that ends exactly at the list's end it says that there are more; that page is empty.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_plus

from service.uploads.ports import ListedMultipart, MultipartMarker, MultipartPage

# A page is read by botocore, in some 10 ms that nothing else gets.
PAGE_SIZE: Final = 100
_MARKERS: Final = ("KeyMarker", "UploadIdMarker")


def advanced(before: Mapping[str, Any], page: Mapping[str, Any]) -> dict[str, Any]:
    """Where the next page begins. Raises ValueError for a page that says there are more, but no
    new place to go on from.
    """
    after = {name: page[f"Next{name}"] for name in _MARKERS if page.get(f"Next{name}")}
    if not after or after == before:
        raise ValueError("the list does not go on")
    return after


def markers(after: MultipartMarker | None) -> dict[str, str]:
    """As the list is asked."""
    values = (None, None) if after is None else (after.key, after.multipart_id)
    return {name: value for name, value in zip(_MARKERS, values, strict=True) if value}


def decoded(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer whose keys are encoded as a URL's query is."""
    uploads = [{**found, "Key": unquote_plus(found["Key"])} for found in answer.get("Uploads", ())]
    following = unquote_plus(answer.get("NextKeyMarker") or "")
    return {**answer, "Uploads": uploads, "NextKeyMarker": following}


def page_of(before: Mapping[str, str], answer: Mapping[str, Any]) -> MultipartPage:
    """Raises ValueError or KeyError for what is no list, or one that does not go on."""
    items = tuple(_items(answer))
    if not answer.get("IsTruncated"):
        return MultipartPage(items, None)
    after = advanced(before, answer)
    return MultipartPage(
        items, MultipartMarker(after.get("KeyMarker"), after.get("UploadIdMarker"))
    )


def _items(answer: Mapping[str, Any]) -> Iterator[ListedMultipart]:
    for found in answer.get("Uploads", ()):
        # Of one whose age the store does not tell nothing can be said.
        if "Initiated" in found:
            yield ListedMultipart(str(found["Key"]), str(found["UploadId"]), found["Initiated"])
