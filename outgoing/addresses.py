"""Which addresses webhooks may go to: the public Internet, and what the operator allows besides.

The ranges are IANA's registries of special-purpose addresses. They are written out here because
`is_global` differs between versions of Python, and lets through addresses that carry another one.
"""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Where clouds keep credentials, and what is no host at all: not even an operator allows these.
_NEVER = _networks(
    "0.0.0.0/8",
    "169.254.0.0/16",  # link-local: the metadata of AWS, GCP, Azure, and of ECS and EKS tasks
    "100.100.100.200/32",  # Alibaba Cloud's metadata
    "168.63.129.16/32",  # Azure's host, though it looks public
    "192.0.0.192/32",  # Oracle Cloud's older metadata
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "fd00:ec2::/32",  # AWS's metadata and credentials over IPv6
    "fd20:ce::254/128",  # GCP's
    "fd00:42::42/128",  # Scaleway's
    "fe80::/10",
    "ff00::/8",
    # One and the same as an IPv4 address, so that must be allowed in its own form.
    "::ffff:0:0/96",
)
_PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    # Of IPv6 all but 2000::/3 is private, or nobody's yet.
    "2001::/23",  # Teredo, ORCHID, benchmarks
    "2001:db8::/32",
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",
    "3fff::/20",
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# How hosts with IPv6 alone reach the public ones without: it says itself where it leads.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# An IPv4 address is in all of these, too, which must be allowed in its own form.
_CARRIERS = (
    _NAT64,
    *_networks(
        "64:ff9b:1::/48",  # NAT64 of a network's own
        "2002::/16",  # 6to4
        "::ffff:0:0:0/96",  # translated (SIIT)
    ),
)
# Without ::1, which is in the same range but carries none.
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LOOPBACK = ipaddress.IPv6Address("::1")


def is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not _within(address, _NEVER) and not _within(address, _PRIVATE)


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the operator allows it although it need not be public."""
    if _within(address, _CARRIERS) or (address in _COMPATIBLE and address != _LOOPBACK):
        return False
    return _within(address, networks) and not _within(address, _NEVER)


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
