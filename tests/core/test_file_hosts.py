"""Which hosts a list of file hosts is for."""

from modelwave_shared import fields
from modelwave_shared.file_hosts import is_entry, is_listed, is_url_listed
from tests.core.helpers import all_refused

ENTRIES = ["files.example.org", "192.0.2.10:8180", "[fd00::1]:8180", "cdn.example.org:443"]


def test_entry_with_a_port_is_for_that_port_only():
    assert is_listed(ENTRIES, "http", "192.0.2.10", 8180)
    assert is_listed(ENTRIES, "http", "[fd00::1]", 8180)
    for port in (80, 443, 22, 818, 81800):
        assert not is_listed(ENTRIES, "http", "192.0.2.10", port)


def test_entry_without_a_port_is_for_the_one_of_the_scheme():
    assert is_listed(ENTRIES, "http", "files.example.org", 80)
    assert is_listed(ENTRIES, "https", "files.example.org", 443)
    assert not is_listed(ENTRIES, "http", "files.example.org", 443)
    assert not is_listed(ENTRIES, "https", "files.example.org", 80)
    assert is_listed(ENTRIES, "http", "cdn.example.org", 443)


def test_no_other_host_is_listed():
    for host in ("example.org", "a.files.example.org", "files.example.org.", "xfiles.example.org"):
        assert not is_listed(ENTRIES, "http", host, 80)
    assert not is_listed([], "http", "files.example.org", 80)


def test_url_is_listed_by_its_host_and_port():
    for url in (
        "http://files.example.org/a",
        "https://FILES.example.org:443/a/b",
        "http://[fd00::1]:8180/a",
        "http://192.0.2.10:8180",
    ):
        assert is_url_listed(ENTRIES, url), url
    for url in (
        "http://files.example.org:8180/a",
        "ftp://files.example.org/a",
        "files.example.org/a",
        "http://192.0.2.10/a",
        "http://files.example.org:x/a",
        "",
    ):
        assert not is_url_listed(ENTRIES, url), url


def test_entries_are_hosts_with_or_without_a_port():
    for text in ENTRIES + ["a", "a_b.c-d", "127.0.0.1", "[::1]", "x:1", "x:65535", "a" * 63]:
        assert is_entry(text), text
        fields.file_host(text, "x")


def test_what_is_no_entry_is_refused():
    bad = ["", ":80", "a:", "a:0", "a:65536", "a:080", "a:x", "a:-1", "a:80:80", "a:100000"]
    bad += ["http://a", "a/", "a/b", "*.a.org", "*", "A.org", "a b", "a..b", ".a", "a.", "-a", "a-"]
    bad += ["user@a", "a?b", "a#b", "[::1", "::1", "[1]", "[]", "[::1]x", "[::1%1]", "[::g]"]
    bad += ["a" * 64, "a." * 80 + "a", "\xe9", "a\n"]
    for text in bad:
        assert not is_entry(text), text
    all_refused(fields.file_host, *bad)
    all_refused(fields.file_host, 1, None, ["a"], True)
