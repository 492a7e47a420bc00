"""A service whose file addresses are not in the root's list of hosts says so."""

import pytest

from modelwave_controller.trust import file_places

LISTED = {"extra": {"file_hosts": ["files.example.org", "192.0.2.10:8180", "[2001:db8::1]"]}}


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.org/files",
        "http://FILES.example.org:80/files",
        "http://192.0.2.10:8180/files",
        "http://[2001:db8::1]/files",
    ],
)
def test_listed_host_needs_no_word(url: str) -> None:
    assert file_places.warnings(LISTED, [url]) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cdn.example.org/files", "cdn.example.org:443"),
        ("http://192.0.2.10/files", "192.0.2.10:80"),
        ("https://files.example.org:8443/files", "files.example.org:8443"),
        ("http://[2001:db8::2]/files", "[2001:db8::2]:80"),
    ],
)
def test_host_that_the_root_does_not_list_is_named_with_the_way_out(url: str, shown: str) -> None:
    (warning,) = file_places.warnings(LISTED, ["http://files.example.org/files", url])
    assert f"files.urls: {shown} is not among" in warning
    assert "modelwave key hosts" in warning


def test_root_without_a_list_asks_for_nothing() -> None:
    assert file_places.warnings({}, ["http://anywhere.example.org/files"]) == []
    assert file_places.warnings({"extra": {}}, ["http://anywhere.example.org/files"]) == []
