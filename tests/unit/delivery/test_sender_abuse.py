"""Receivers that would keep the service busy, and URLs that must go out as they were looked at."""

import asyncio
import ipaddress

import pytest

from outgoing.addresses import is_allowed, is_public
from service.delivery.ports import Answer, NoAnswer
from tests.fakes.http_stub import HttpStub, Reply
from tests.unit.delivery.test_sender import BODY, answering, post, talking

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("head", [CONTINUE, HINTS])
async def test_announcements_without_an_end_are_refused(head: bytes) -> None:
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        writer.write(head * 9)
        # The sender's leave, not the clock, ends this.
        await reader.read()
        gone.set()

    async with talking(talk) as port:
        assert await post(f"http://127.0.0.1:{port}/", seconds=60) == NoAnswer("broken")
        await asyncio.wait_for(gone.wait(), 60)


async def test_a_flood_of_announcements_is_not_read_to_its_end() -> None:
    """All of it is there before the first is looked at, with an answer behind that must not win."""
    async with talking(await answering(CONTINUE * 2000 + OK)) as port:
        assert await post(f"http://127.0.0.1:{port}/", seconds=60) == NoAnswer("broken")


async def test_a_few_announcements_are_passed_over() -> None:
    async with talking(await answering(CONTINUE * 4, HINTS * 4, OK)) as port:
        assert await post(f"http://127.0.0.1:{port}/") == Answer(200)


@pytest.mark.parametrize(
    ("rest", "target"),
    [
        ("/a%2Fb/%7e/%2e%2e/../c?sig=a%2Bb%2F&x=%27'+(1)", None),
        ("//a//b/./c;d=e", None),
        ("/%41%zz".replace("%zz", "%5a"), None),
        ("?x=1", "/?x=1"),
        ("", "/"),
    ],
)
async def test_a_url_is_sent_in_the_spelling_it_was_given(rest: str, target: str | None) -> None:
    async with HttpStub.serving(Reply(204)) as stub:
        assert await post(stub.url + rest) == Answer(204)
        (request,) = stub.requests
        assert request.target == (rest if target is None else target)
        assert request.headers["host"] == stub.url.removeprefix("http://")


async def test_a_host_in_capitals_is_a_host() -> None:
    async with HttpStub.serving(Reply(204)) as stub:
        assert await post(stub.url.replace("127.0.0.1", "Hook.EXAMPLE")) == Answer(204)


@pytest.mark.parametrize(
    "text",
    [
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:ffff:ffff::a9fe:a9fe"),
        *("2002:a9fe:a9fe::", "2002:a9fe:a9fe::1", "::169.254.169.254", "::ffff:169.254.169.254"),
        *("::ffff:0:a9fe:a9fe", "::100.100.100.200", "::2"),
    ],
)
def test_what_nobody_may_open_is_not_opened_in_disguise(text: str) -> None:
    address = ipaddress.ip_address(text)
    everything = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    assert not is_allowed(address, everything)
    assert not is_allowed(address, [ipaddress.ip_network(text)])
    assert not is_public(address)


@pytest.mark.parametrize("text", ["::1", "fd00::1", "2606:4700::1111", "127.0.0.1"])
def test_an_operator_may_still_open_their_own(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert is_allowed(address, [ipaddress.ip_network(text)])
