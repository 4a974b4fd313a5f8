"""What webhooks must never be sent to, in every spelling."""

import asyncio
import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from errors import InvalidEndpointError
from outgoing.addresses import is_allowed, is_public
from outgoing.guard import Guard
from outgoing.lookup import SystemLookup
from service.delivery.ports import NoAnswer

PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


class Names:
    """A resolver that knows these names. Counts what it is asked."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = known
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError("unknown")
        return self.known[host]


def guard(
    *networks: str, allow_http: bool = False, names: Names | None = None, seconds: float = 5
) -> Guard:
    return Guard(
        allowed_networks=networks,
        allow_http=allow_http,
        resolve=names or Names(public=[PUBLIC, PUBLIC_6], private=["10.0.0.1"]),
        lookup_seconds=seconds,
    )


FORBIDDEN = [
    # This host, its networks, and nobody's.
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1"),
    *("172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255", "169.254.0.1"),
    *("192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    # Anycast of networks' own services: whatever is nearest.
    *("192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1"),
    # Where clouds keep credentials.
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16"),
    *("192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42"),
    *("::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1", "ff02::1", "100::1"),
    *("2001:db8::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "3fff::1", "5f00::1"),
    # IPv4 in other clothes: mapped, compatible, 6to4, Teredo, NAT64, ISATAP's private half.
    *(
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:169.254.169.254",
        "::7f00:1",
        "::ffff:0:7f00:1",
    ),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1", "2001:0:53aa:64c::7f00:1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::808:808"),
    *("fe80::5efe:7f00:1", "4000::1", "8000::1"),
]


@pytest.mark.parametrize("text", FORBIDDEN)
async def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert not is_public(address)
    host = f"[{text}]" if address.version == 6 else text
    names = Names(name=[text], mixed=[PUBLIC, text])
    for url in (f"https://{host}/", "https://name/", "https://mixed/"):
        with pytest.raises(InvalidEndpointError) as caught:
            await guard(names=names).check_url(url)
        assert text not in str(caught.value)


@pytest.mark.parametrize(
    "text", [PUBLIC, PUBLIC_6, "1.1.1.1", "8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"]
)
async def test_a_public_address_is_taken(text: str) -> None:
    await guard(names=Names(name=[text])).check_url("https://name/")


class _GlobalV4(ipaddress.IPv4Address):
    is_global = True


class _GlobalV6(ipaddress.IPv6Address):
    is_global = True


@pytest.mark.parametrize("text", [text for text in FORBIDDEN if not text.startswith("64:ff9b::")])
def test_it_is_refused_whatever_python_thinks_of_it(text: str) -> None:
    """Which addresses Python calls global differs between its versions."""
    address = _GlobalV6(text) if ":" in text else _GlobalV4(text)
    assert not is_public(address)


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    nat64 = address in ipaddress.ip_network("64:ff9b::/96")
    assert not (special and is_public(address)) or nat64


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_an_ipv6_one_is_never_more_public(
    address: ipaddress.IPv4Address,
) -> None:
    for prefix in ("::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::", "2002::"):
        shift = 80 if prefix == "2002::" else 0
        inside = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address) << shift)
        assert is_public(address) or not is_public(inside)


EVIL = [
    # Not https.
    *("http://public/", "ftp://public/", "file:///etc/passwd", "gopher://public/", "//public/"),
    *("https:public", "https:/public", "https:///public", "public", "", "https://", "javascript:1"),
    # A user, a fragment, what parsers disagree about.
    *("https://user@public/", "https://user:pw@public/", "https://@public/", "https://public#x"),
    *(
        "https://public/#",
        "https://public\\@private/",
        "https://public\\private",
        "https://pub lic/",
    ),
    *("https://public /", " https://public/", "https://public/ ", "https://public/\n"),
    *(
        "https://public/a\tb",
        "https://pub\tlic/",
        "https://public/\r\nHost: private",
        "https://public/é",
    ),
    *(
        "https://public/%zz",
        "https://public/%",
        "https://public/<x>",
        'https://public/"',
        "https://pub%6cic/",
    ),
    *("https://private%00.public/", "https://public;private/", "https://public,private/"),
    # Ports.
    *("https://public:/", "https://public:0/", "https://public:65536/", "https://public:99999/"),
    *("https://public:0443/", "https://public:443:443/", "https://public:-1/", "https://public:x/"),
    *("https://public:\uff14\uff14\uff13/",),
    # Addresses in unusual spellings, all of which some resolver takes for 127.0.0.1 or the like.
    *("https://2130706433/", "https://0x7f000001/", "https://017700000001/", "https://0x7f.1/"),
    *(
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://127.0.0.01/",
        "https://0/",
    ),
    *("https://127.0.0.0x1/", "https://1.2.3/", "https://1.2.3.4.5/", "https://256.1.1.1/"),
    *(
        "https://127.0.0.1./",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://127。0。0。1/",
    ),
    *("https://public.0x/", "https://x.1/", "https://٤.1.1.1/"),
    *("https://[::1%25eth0]/", "https://[::1%eth0]/", "https://[fe80::1%25lo]/", "https://[v1.x]/"),
    *(
        "https://[::1]x/",
        "https://x[::1]/",
        "https://[127.0.0.1]/",
        "https://[:::1]/",
        "https://[]/",
    ),
    *("https://[1::2::3]/", "https://::1/", "https://[::1/"),
    # Names in unusual spellings.
    *(
        "https://public./",
        "https://.public/",
        "https://pub..lic/",
        "https://-public/",
        "https://public-/",
    ),
    *(
        "https://bücher.de/",
        "https://ex\u00adample.com/",
        "https://\uff50ublic/",
        "https://pu\u200bblic/",
    ),
    *(f"https://{'a' * 64}.com/", f"https://{'a.' * 127}aa/", "https://./", "https://../"),
    # Too long for the column.
    f"https://public/{'a' * 2040}",
]


@pytest.mark.parametrize("url", EVIL)
async def test_a_url_that_two_parsers_could_read_differently_is_refused(url: str) -> None:
    names = Names(public=[PUBLIC])
    with pytest.raises(InvalidEndpointError) as caught:
        await guard("0.0.0.0/0", "::/0", names=names).check_url(url)
    assert names.asked == []
    assert len(url) < 9 or url not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://public",
        "https://public/",
        "HTTPS://PUBLIC/Path",
        "https://public:8443/a/b;c=d?e=f&g=%2Fh+i~j@k:l!$'()*,",
        "https://public?x=y",
        "https://public/%E2%82%AC",
        f"https://public/{'a' * 2033}",
    ],
)
async def test_a_usual_url_is_taken_and_read_as_the_sender_reads_it(url: str) -> None:
    names = Names(public=[PUBLIC])
    await guard(names=names).check_url(url)
    assert names.asked == ["public"]
    assert (URL(url).scheme, URL(url).raw_host) == ("https", "public")


@given(st.text(st.characters(max_codepoint=0x2FFF), max_size=30))
def test_what_is_taken_has_the_host_that_the_sender_reads(rest: str) -> None:
    url = f"https://{rest}"
    try:
        target = guard().parse(url)
    except InvalidEndpointError:
        return
    sent = URL(url)
    assert sent.scheme == "https"
    assert sent.user is None
    assert sent.fragment == ""
    if target.address is None:
        assert sent.raw_host == target.host
    else:
        assert ipaddress.ip_address(str(sent.raw_host)) == target.address


async def test_allowed_networks_are_sent_to() -> None:
    names = Names(private=["10.1.2.3"], both=["10.1.2.3", PUBLIC], other=["10.1.2.3", "10.2.0.1"])
    allowing = guard("10.1.0.0/16", "fd12::/16", names=names)
    for url in ("https://private/", "https://both/", "https://10.1.0.1/", "https://[fd12::1]:8/"):
        await allowing.check_url(url)
    for url in ("https://other/", "https://10.2.0.1/", "https://[fd13::1]/", "http://private/"):
        with pytest.raises(InvalidEndpointError):
            await allowing.check_url(url)


async def test_plain_http_goes_to_allowed_networks_only() -> None:
    names = Names(private=["10.1.2.3"], both=["10.1.2.3", PUBLIC], public=[PUBLIC])
    allowing = guard("10.1.0.0/16", allow_http=True, names=names)
    await allowing.check_url("http://private:8080/")
    await allowing.check_url("https://public/")
    for url in ("http://public/", "http://both/", f"http://{PUBLIC}/"):
        with pytest.raises(InvalidEndpointError):
            await allowing.check_url(url)


@pytest.mark.parametrize(
    "text",
    [
        # Metadata, and with it credentials.
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
        *("fd00:ec2::254", "fd20:ce::254", "fd00:42::42"),
        # No host.
        *("0.0.0.0", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "fe80::1", "ff02::1"),
        # 10.0.0.1 in other clothes.
        *("::ffff:10.0.0.1", "::a00:1", "::ffff:0:a00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1"),
        "2002:a00:1::1",
    ],
)
def test_no_operator_can_allow_what_holds_credentials_or_is_no_host(text: str) -> None:
    everything = [ipaddress.ip_network(network) for network in ("0.0.0.0/0", "::/0")]
    assert is_allowed(ipaddress.ip_address("10.0.0.1"), everything)
    assert not is_allowed(ipaddress.ip_address(text), everything)


NETWORKS = "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS"
HTTP = "UPLOADGATE_DELIVERY__ALLOW_HTTP"


@pytest.mark.parametrize(
    ("url", "allow_http", "says", "names"),
    [
        ("https://unknown/", False, "does not resolve", []),
        ("https://none/", False, "does not resolve", []),
        ("https://private/", False, "not public", [NETWORKS]),
        ("https://10.0.0.1/", False, "not public", [NETWORKS]),
        ("http://127.0.0.1:9/", False, "must be https", [NETWORKS, HTTP]),
        ("http://127.0.0.1:9/", True, "must be https", [NETWORKS]),
        ("http://public/", True, "must be https", [NETWORKS]),
    ],
)
async def test_a_refusal_names_the_remedy_and_not_the_address(
    url: str, allow_http: bool, says: str, names: list[str]
) -> None:
    known = Names(private=["10.0.0.1"], public=[PUBLIC], none=[])
    with pytest.raises(InvalidEndpointError) as caught:
        await guard(allow_http=allow_http, names=known).check_url(url)
    told = str(caught.value)
    assert says in told
    assert [name for name in (NETWORKS, HTTP) if name in told] == names
    assert "10.0.0.1" not in told


async def test_the_reason_is_told_to_the_log() -> None:
    found = guard()
    assert await found.addresses(found.parse("https://unknown/")) == NoAnswer("unresolvable")
    assert await found.addresses(found.parse("https://private/")) == NoAnswer("forbidden_address")


async def test_a_resolver_that_never_answers_is_not_waited_for() -> None:
    class Never(Names):
        async def __call__(self, host: str) -> Sequence[str]:
            await asyncio.Event().wait()
            return []

    silent = guard(names=Never(), seconds=0.01)
    assert await silent.addresses(silent.parse("https://name/")) == NoAnswer("unresolvable")


async def test_of_very_many_addresses_all_are_looked_at_and_some_are_tried() -> None:
    many = [f"8.8.{number // 250}.{number % 250}" for number in range(1000)]
    names = Names(many=many, trap=[*many, "10.0.0.1"])
    found = guard(names=names)
    tried = await found.addresses(found.parse("https://many/"))
    assert isinstance(tried, Sequence)
    assert 1 < len(tried) < 20
    assert await found.addresses(found.parse("https://trap/")) == NoAnswer("forbidden_address")


async def test_the_systems_resolver_finds_and_does_not_find() -> None:
    with SystemLookup.opened() as lookup:
        found = await asyncio.gather(*(lookup("localhost") for _ in range(20)))
        assert all(set(each) <= {"127.0.0.1", "::1"} and each for each in found)
        with pytest.raises(OSError, match="known"):
            await lookup("")
        assert lookup._running == {}
