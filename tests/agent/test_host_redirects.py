"""The HTTP fetcher and servers that redirect: to whom a device goes, and what it tells of it."""

import asyncio
import contextlib

import pytest

from modelwave_agent.host import place
from modelwave_agent.host.http import HostHttpFetcher
from modelwave_agent.host.redirects import RedirectHost
from modelwave_agent.ports import FetchError
from tests.agent.host_server import answering, serving
from tests.agent.test_host_http import DATA, PATIENT, intake_of
from tests.certificates import Authority

SECRET = "X-Amz-Signature=5ec2e7"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def fetch(tmp_path, authority):
    """Fetches from https://localhost, whose answer is `answer`; {port} in `hosts` is its port.
    Returns the intake."""

    def run(answer, hosts=(), held=b"", url="https://localhost:{port}/signed"):
        intake = intake_of(tmp_path, held)

        async def main():
            tls = authority.server_context() if url.startswith("https") else None
            async with serving(answer, tls) as port:
                entries = [RedirectHost.of(host.format(port=port)) for host in hosts]
                fetcher = HostHttpFetcher(
                    authority.ca_file,
                    PATIENT,
                    entries,
                    [f"localhost:{port}", f"127.0.0.1:{port}"],
                    private_networks=True,
                )
                await fetcher.fetch(url.format(port=port), intake)

        with contextlib.closing(intake):
            asyncio.run(main())
        return intake

    return run


def to(*locations, data=DATA, asked=None, status="302 Found"):
    """The answer of a server that redirects to each of `locations` in turn, then sends `data`;
    {port} is its port. The heads of the requests are put into `asked`."""
    left = list(locations)
    asked = [] if asked is None else asked

    async def answer(request):
        asked.append(request.head)
        if left:
            port = request.writer.get_extra_info("sockname")[1]
            location = left.pop(0).format(port=port)
            request.head_of(status, f"Location: {location}", "Content-Length: 0")
        else:
            await answering(data)(request)

    return answer


def refused(fetch, answer, *hosts, **more):
    """What the fetcher says, after the signed host; a secret of the Location is not in it."""
    with pytest.raises(FetchError) as caught:
        fetch(answer, hosts, **more)
    error = caught.value
    while error:  # the log may have its causes
        assert SECRET not in str(error)
        error = error.__cause__
    _, _, told = str(caught.value).partition(": ")
    return told


HERE = "https://localhost:{port}/there?" + SECRET
LISTED = "localhost:{port}"


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_redirect_to_a_listed_host_is_followed(fetch, status):
    asked = []
    assert fetch(to(HERE, asked=asked, status=status), [LISTED]).matches()
    assert [head.split(" ")[1] for head in asked] == ["/signed", f"/there?{SECRET}"]


def test_range_is_asked_of_the_host_that_it_leads_to(fetch):
    asked = []
    assert fetch(to(HERE, asked=asked), [LISTED], held=DATA[:5000]).matches()
    assert all("\r\nRange: bytes=5000-\r\n" in head for head in asked)


def test_relative_redirect_is_followed(fetch):
    asked = []
    assert fetch(to("there", "../up?a=b#c", asked=asked), [LISTED]).matches()
    assert [head.split(" ")[1] for head in asked] == ["/signed", "/there", "/up?a=b"]


def test_three_redirects_are_followed_and_the_fourth_is_not(fetch):
    assert fetch(to(HERE, HERE, HERE), [LISTED]).matches()
    said = refused(fetch, to(HERE, HERE, HERE, HERE), LISTED)
    assert said == "it redirects more than 3 times"


def test_without_a_list_no_redirect_is_followed_and_the_log_says_what_to_add(fetch, caplog):
    said = refused(fetch, to("https://cdn.example.org/x?" + SECRET))
    assert said == (
        "it redirects to a host that is not among the 0 in redirect_hosts under [download] in"
        " agent.toml (the device's log names it): add it there, or sign URLs that need no redirect"
    )
    assert caplog.messages == ['localhost redirects to "cdn.example.org", which is not listed']
    refused(fetch, to("https://cdn.example.org:8443/x"))
    assert 'to "cdn.example.org:8443"' in caplog.messages[1]


def test_other_port_of_a_listed_host_is_not_asked(fetch):
    assert "not among the 1" in refused(fetch, to("https://localhost:22/"), LISTED)
    assert "not among the 1" in refused(fetch, to(HERE), "localhost")  # means 443


@pytest.mark.parametrize(
    "location",
    [
        f"http://localhost:{{port}}/x?{SECRET}",
        f"file:///etc/passwd?{SECRET}",
        f"ftp://localhost/x?{SECRET}",
        f"https://{SECRET}@localhost:{{port}}/x",
        f"https://user:{SECRET}@localhost:{{port}}/x",
        f"https://localhost:{SECRET}/x",
        f"https://[{SECRET}/x",
        f"https://{SECRET}/x",
        f"https://localhost:{{port}}/\xe9?{SECRET}",
        f"https://localhost:{{port}}/a b?{SECRET}",
        f"https://localhost:{{port}}/{'a' * 9000}?{SECRET}",
        f"//{SECRET}",
        f"https://localhost.:{{port}}/x?{SECRET}",
        f"https://[::1]:{{port}}/x?{SECRET}",
        f"javascript:{SECRET}",
    ],
)
def test_redirect_to_another_place_than_an_https_url_of_a_listed_host_is_refused(fetch, location):
    assert refused(fetch, to(location), LISTED, "*.example.org").startswith("it redirects to")


def test_plain_http_is_never_redirected(fetch):
    for location in ("https://localhost:{port}/x", "http://127.0.0.1:{port}/x"):
        said = refused(fetch, to(location), LISTED, "127.0.0.1", url="http://127.0.0.1:{port}/x")
        assert "it redirects, which is followed from https only" in said


def test_redirect_without_a_location_is_named(fetch):
    async def answer(request):
        request.head_of("302 Found", "Content-Length: 0")

    assert refused(fetch, answer, LISTED) == "the server answered 302 without a Location"


def test_error_of_the_host_that_it_leads_to_names_that_host_only(fetch):
    heads = iter(["302 Found", "403 Forbidden"])

    async def answer(request):
        port = request.writer.get_extra_info("sockname")[1]
        request.head_of(next(heads), "Location: " + HERE.format(port=port), "Content-Length: 0")

    assert refused(fetch, answer, LISTED) == "the server answered 403"


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5",
        "127.0.0.2",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "0.0.0.0",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.5",
        "64:ff9b::a00:5",
        "2002:a00:5::1",
        "::10.0.0.5",
        "::169.254.169.254",
        "::ffff:0:10.0.0.5",
        "64:ff9b:1::a00:5",
        "fec0::1",
        "5f00::1",
    ],
)
def test_redirect_to_a_private_address_is_refused(fetch, monkeypatch, address):
    """A name server may say anything about a listed name."""
    asked = resolved_as(monkeypatch, {"localhost": "127.0.0.1", "cdn.example.org": address})
    said = refused(fetch, to("https://cdn.example.org/x?" + SECRET), "*.example.org")
    assert said == ("it redirects, and where to: a device may connect to none of its 1 addresses")
    assert asked == ["localhost", "cdn.example.org"]


def test_private_address_that_the_signed_url_has_may_be_redirected_to(fetch, monkeypatch):
    """And it is the address of the first look: the name is not resolved again to connect."""
    asked = resolved_as(monkeypatch, {"localhost": "127.0.0.1"})
    assert fetch(to(HERE), [LISTED]).matches()
    assert asked == ["localhost", "localhost"]  # once for each request


def resolved_as(monkeypatch, addresses):
    """Makes the system resolve names so; returns the list of those that were asked for."""
    asked = []

    def resolved(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", (addresses[host], port))]

    monkeypatch.setattr(place.socket, "getaddrinfo", resolved)
    return asked


@pytest.mark.parametrize(
    ("entry", "good", "bad"),
    [
        ("cdn.example.org", ["cdn.example.org"], ["a.cdn.example.org", "xcdn.example.org"]),
        ("CDN.example.org", ["cdn.example.org"], ["example.org"]),
        (
            "*.s3.amazonaws.com",
            ["bucket.s3.amazonaws.com", "a.b.s3.amazonaws.com"],
            ["s3.amazonaws.com", "xs3.amazonaws.com", "s3.amazonaws.com.evil.org"],
        ),
        ("192.0.2.7", ["192.0.2.7"], ["192.0.2.70"]),
    ],
)
def test_entry_of_the_list_matches(entry, good, bad):
    found = RedirectHost.of(entry)
    assert all(found.matches(host, 443) for host in good)
    assert not any(found.matches(host, 443) for host in bad)
    assert not found.matches(good[0], 8443)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.org",
        "*.*.org",
        "a.*.org",
        "*cdn.example.org",
        "https://cdn.example.org",
        "cdn.example.org/x",
        "cdn.example.org:0",
        "cdn.example.org:65536",
        "cdn.example.org:",
        "user@cdn.example.org",
        "cdn..example.org",
        ".example.org",
        "cdn example.org",
        "[::1]",
        "\xe9.example.org",
        "a." * 130 + "org",
    ],
)
def test_entry_of_the_list_that_is_no_host_is_refused(entry):
    with pytest.raises(ValueError, match=r"give HOST, \*.HOST for all names below it"):
        RedirectHost.of(entry)
