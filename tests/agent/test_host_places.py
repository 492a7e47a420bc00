"""Where a device fetches from: listed hosts, at addresses that are allowed for them."""

import asyncio
import ipaddress

import pytest

from modelwave_agent.host import place
from modelwave_agent.host.addresses import METADATA, NEVER, PRIVATE, PUBLIC, range_of
from modelwave_agent.host.http import HostHttpFetcher
from modelwave_agent.ports import FetchError
from modelwave_agent.types import Enrolment
from tests import signing
from tests.agent.host_server import answering, serving
from tests.agent.test_host_http import DATA, PATIENT, intake_of

# All rows of IANA's registries of special-purpose addresses, as they are published: written down
# anew here, so that a row that the code forgets is missed.
OWN = """
10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16 ::1/128 fc00::/7
"""
OTHERS = """
0.0.0.0/8 0.0.0.0/32 169.254.0.0/16 192.0.0.0/24 192.0.0.0/29 192.0.0.8/32 192.0.0.9/32
192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
192.88.99.0/24 192.88.99.2/32 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
240.0.0.0/4 255.255.255.255/32
::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001::/32 2001:1::1/128 2001:1::2/128
2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28
2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fe80::/10
"""
NOT_GIVEN_OUT = "224.0.0.1 239.255.255.255 ff02::1 fec0::1 ::10.0.0.5 ::8.8.8.8 ::ffff:0:8.8.8.8"
BESIDE = """
9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255
169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.31.195.255
192.31.197.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0
223.255.255.255 8.8.8.8 2001:200:: 2003:: 2606:4700::1111 2620:4f:7fff:: 2620:4f:8001:: 3ffe::
"""


def within(network):
    """The first, the last and a middle address of a range."""
    held = ipaddress.ip_network(network)
    first, last = int(held.network_address), int(held.broadcast_address)
    kind = type(held.network_address)
    return [str(kind(number)) for number in (first, (first + last) // 2, last)]


def forms(address):
    """The address, and those that lead to it if it is one of IPv4."""
    if ":" in address:
        return [address]
    return [address, f"::ffff:{address}", f"64:ff9b::{address}"]


@pytest.mark.parametrize(
    ("networks", "expected"), [(OWN, PRIVATE), (OTHERS, NEVER)], ids=["own", "others"]
)
def test_special_purpose_ranges_of_iana_are_refused_or_private(networks, expected):
    for network in networks.split():
        for address in within(network):
            for form in forms(address):
                assert range_of(form) == expected, form


def test_metadata_services_multicast_and_what_is_not_given_out_are_never_asked():
    for address in [*METADATA, *NOT_GIVEN_OUT.split(), "4000::1", "fe80::1%eth0", "x", ""]:
        for form in forms(address) if "." in address and ":" not in address else [address]:
            assert range_of(form) == NEVER, form


def test_addresses_beside_these_ranges_are_public():
    for address in BESIDE.split():
        for form in forms(address):
            assert range_of(form) == PUBLIC, form


def asked(monkeypatch, fetcher, url, address="127.0.0.1"):
    """What the fetcher says, and the names that were resolved, each to `address`."""
    names = []

    def resolved(host, port, **_):
        names.append(host)
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(place.socket, "getaddrinfo", resolved)
    with pytest.raises(FetchError) as caught:
        asyncio.run(fetcher.fetch(url, None))
    return str(caught.value), names


UNLISTED = "not among the 1 that files may come from"


@pytest.mark.parametrize(
    "url",
    [
        "http://192.168.1.1/x",
        "http://files.example.org:22/x",
        "http://files.example.org:443/x",
        "https://files.example.org:80/x",
        "http://example.org/x",
        "http://files.example.org.evil.org/x",
        "http://evil.org/files.example.org",
        "http://files.example.org./x",
        "http://files.example.org\\@evil.org/x",
        "http://[::1]/x",
    ],
)
def test_url_of_another_host_or_port_is_not_even_resolved(monkeypatch, url):
    said, names = asked(monkeypatch, HostHttpFetcher(hosts=["files.example.org"]), url)
    assert UNLISTED in said or "not an http" in said
    assert names == []
    assert "evil" not in said


def test_without_a_list_no_file_is_fetched(monkeypatch):
    for fetcher in (HostHttpFetcher(), HostHttpFetcher(hosts=[])):
        said, names = asked(monkeypatch, fetcher, "http://files.example.org/x")
        assert "not among the 0" in said
        assert names == []


def test_name_of_a_private_network_needs_the_setting(monkeypatch):
    listed = ["files.example.org"]
    said, names = asked(monkeypatch, HostHttpFetcher(hosts=listed), "http://files.example.org/x")
    assert "none of its 1 addresses: put the address" in said
    assert names == listed
    # An address in another form than the usual one is a name.
    said, _ = asked(monkeypatch, HostHttpFetcher(hosts=["2130706433"]), "http://2130706433/x")
    assert "none of its 1 addresses" in said


def test_no_setting_lets_a_device_ask_a_link_local_address_or_metadata(monkeypatch):
    for address in ("169.254.169.254", "100.100.100.200", "168.63.129.16"):
        for host in ("files.example.org", address):
            fetcher = HostHttpFetcher(hosts=[host], private_networks=True)
            said, _ = asked(monkeypatch, fetcher, f"http://{host}/x", address)
            assert said == f"{host}: a device may connect to none of its 1 addresses"


def test_hosts_of_a_root_that_was_just_adopted_count_at_the_next_fetch(tmp_path):
    async def main():
        async with serving(answering(DATA)) as port:
            fetcher, intake = HostHttpFetcher(pace=PATIENT), intake_of(tmp_path)
            device = fetcher.enrolment = Enrolment("pi-1", "linux-cpu", signing.root())
            with pytest.raises(FetchError, match="among the 0"):
                await fetcher.fetch(f"http://127.0.0.1:{port}/x", intake)
            device.root = signing.root(extra={"file_hosts": [f"127.0.0.1:{port}"]})
            await fetcher.fetch(f"http://127.0.0.1:{port}/x", intake)
            intake.close()
            assert intake.matches()
            # The device's own list comes first, also where it is empty.
            fetcher.hosts = []
            with pytest.raises(FetchError, match="among the 0"):
                await fetcher.fetch(f"http://127.0.0.1:{port}/x", intake)

    asyncio.run(main())
