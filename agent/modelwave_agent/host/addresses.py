"""Decides which IP addresses a device may connect to for a file.

PUBLIC   it belongs to no special-purpose range: any listed host may have it
PRIVATE  of a network of its own: only a host that is listed as this very address, or any host
         where [download] private_networks = true
NEVER    all other ranges of IANA's registries of special-purpose addresses, multicast, what is
         reserved, and the metadata services of clouds

An address that contains an IPv4 address and leads to it (IPv4-mapped, NAT64) is judged by that.
Other forms that contain one (6to4, Teredo, IPv4-compatible and the rest) are in NEVER.
"""

import ipaddress

PUBLIC, PRIVATE, NEVER = "public", "private", "never"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Both tables: IANA, "IPv4/IPv6 Special-Purpose Address Registry", https://www.iana.org/assignments/
# iana-ipv4-special-registry and iana-ipv6-special-registry (of October 2024). All rows stand here,
# also those that are globally reachable: no file server is there.
PRIVATE_RANGES = (
    "10.0.0.0/8",  # private use, RFC 1918
    "100.64.0.0/10",  # shared address space of providers, RFC 6598
    "127.0.0.0/8",  # loopback, RFC 1122
    "172.16.0.0/12",  # private use
    "192.168.0.0/16",  # private use
    "::1/128",  # loopback, RFC 4291
    "fc00::/7",  # unique local, RFC 4193
)
NEVER_RANGES = (
    "0.0.0.0/8",  # this network, RFC 791
    "169.254.0.0/16",  # link local, RFC 3927; most metadata services
    "192.0.0.0/24",  # IETF protocol assignments with DS-Lite, PCP, TURN, NAT64 discovery
    "192.0.2.0/24",  # documentation, RFC 5737
    "192.31.196.0/24",  # AS112, RFC 7535
    "192.52.193.0/24",  # AMT, RFC 7450
    "192.88.99.0/24",  # 6to4 relays, RFC 7526
    "192.175.48.0/24",  # AS112, RFC 7534
    "198.18.0.0/15",  # benchmarking, RFC 2544
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast, RFC 5771
    "240.0.0.0/4",  # reserved, with the broadcast address, RFC 1112
    "::/128",  # unspecified, RFC 4291
    "64:ff9b:1::/48",  # local translators, RFC 8215: which IPv4 address is meant depends on them
    "100::/64",  # discard only, RFC 6666
    "100:0:0:1::/64",  # dummy prefix, RFC 9780
    "2001::/23",  # IETF protocol assignments with Teredo, benchmarking, AMT, ORCHID, drone ids
    "2001:db8::/32",  # documentation, RFC 3849
    "2002::/16",  # 6to4, RFC 3056
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation, RFC 9637
    "5f00::/16",  # segment routing, RFC 9602
    "fe80::/10",  # link local
)
# Metadata services of clouds at other than link-local addresses.
METADATA = (
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure
    "192.0.0.192",  # Oracle
    "fd00:ec2::254",  # AWS
    "fd20:ce::254",  # Google
    "fd00:c1::a9fe:a9fe",  # Oracle
    "fd00:42::42",  # Scaleway
)
# Whose last 32 bits are the IPv4 address that packets reach (RFC 4291, section 2.5.5.2; RFC 6052).
WITH_IPV4 = ("::ffff:0:0/96", "64:ff9b::/96")
GIVEN_OUT = ipaddress.IPv6Network("2000::/3")  # all public IPv6 addresses; IANA's address space

_private, _never, _with_ipv4 = (
    [ipaddress.ip_network(text) for text in ranges]
    for ranges in (PRIVATE_RANGES, NEVER_RANGES, WITH_IPV4)
)
_metadata = [ipaddress.ip_address(text) for text in METADATA]


def range_of(address: str) -> str:
    """Returns PUBLIC, PRIVATE or NEVER."""
    try:
        ip = _reached(ipaddress.ip_address(address))
    except ValueError:
        return NEVER
    if ip in _metadata or any(ip in network for network in _never):
        return NEVER
    if any(ip in network for network in _private):
        return PRIVATE
    return PUBLIC if ip.version == 4 or ip in GIVEN_OUT else NEVER


def is_address(host: str) -> bool:
    """Whether a host of a URL, without brackets, is an address in the usual form: others, such as
    2130706433, are names to us."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _reached(ip: IPAddress) -> IPAddress:
    """Returns the address that packets to `ip` reach."""
    if ip.version == 6 and any(ip in network for network in _with_ipv4):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
