"""What is given back: an attachment under its original name, never a page."""

from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest

from tests.integration.sender import Sender, problem, sender_at
from tests.integration.stack import Stack

CONTENT = b"<script>alert(1)</script>"


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


@pytest.mark.parametrize(
    ("filename", "content_type", "served"),
    [
        ('Ünï côde 😀 + % & "q".pdf', "application/pdf", "application/pdf"),
        ("page.html", "text/html", "application/octet-stream"),
        ("page.html", "text/html; charset=utf-8", "application/octet-stream"),
        ("drawing.svg", "image/svg+xml", "application/octet-stream"),
        ("feed.xml", "application/xml", "application/octet-stream"),
        ("a;b,c'd.txt", "text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
async def test_a_download_is_an_attachment_under_its_name_and_never_a_page(
    sender: Sender, filename: str, content_type: str, served: str
) -> None:
    upload = await sender.announce(len(CONTENT), filename=filename, content_type=content_type)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.completed(upload)
    answer = await sender.download(upload)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert unquote(disposition.split("filename*=UTF-8''")[1]) == filename
    assert answer.headers["content-type"] == served


async def test_a_page_cannot_be_made_of_a_download(sender: Sender) -> None:
    """What the answer says of itself is signed."""
    upload = await sender.announce(len(CONTENT), content_type="text/html")
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.completed(upload)
    url = (await sender.ask("GET", f"/{upload['id']}/download")).json()["url"]
    for old, new in (
        ("application%2Foctet-stream", "text%2Fhtml"),
        ("attachment", "inline"),
        ("&response-content-disposition", "&ignored"),
    ):
        changed = url.replace("?response", "?&response").replace(old, new)
        assert old in url.replace("?response", "?&response")
        assert (await sender.store.get(changed)).status_code == 403


async def test_there_is_nothing_to_download_before_it_has_arrived_nor_after_its_end(
    sender: Sender,
) -> None:
    upload = await sender.announce(len(CONTENT))
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_state")
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.completed(upload)
    assert (await sender.download(upload)).content == CONTENT
    url = (await sender.ask("GET", f"/{upload['id']}/download")).json()["url"]
    assert (await sender.ask("DELETE", f"/{upload['id']}")).json()["status"] == "deleted"
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_ended")
    assert (await sender.store.get(url)).status_code == 404
