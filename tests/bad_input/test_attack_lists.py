"""The attacks of the lists that others have published: docs/threats.md answers each by name, in its
list's table, and each of these rows names tests. tests/test_docs.py looks those up."""

import pytest

from tests.test_docs import THREATS, names_in, threat_rows, unknown_tests

# The names as the lists have them; they stand in the first cell of a row. By the section's title.
ATTACKS = {
    "TUF": [
        "arbitrary software installation",
        "endless data",
        "extraneous dependencies",
        "fast-forward",
        "indefinite freeze",
        "malicious mirrors",
        "mix-and-match",
        "rollback",
        "slow retrieval",
        "key compromise",
        "wrong software installation",
    ],
    "Uptane": [
        "eavesdrop",
        "drop-request",
        "slow retrieval",
        "freeze",
        "partial bundle installation",
        "denial of service",
        "rollback",
        "endless data",
        "mixed bundles",
        "arbitrary software",
    ],
    "RFC 9124": [
        "IMG.EXPIRED:",
        "IMG.EXPIRED.OFFLINE",
        "IMG.INCOMPATIBLE",
        "IMG.FORMAT",
        "IMG.LOCATION",
        "NET.REDIRECT",
        "NET.ONPATH",
        "IMG.REPLACE",
        "IMG.NON_AUTH",
        "UPD.WRONG_PRECURSOR",
        "UPD.UNAPPROVED",
        "IMG.DISCLOSURE",
        "MFST.OVERRIDE",
        "MFST.EXPOSURE",
        "IMG.EXTRA",
        "KEY.EXPOSURE",
        "MFST.MODIFICATION",
        "MFST.TOCTOU",
    ],
    "MQTT": [
        "rogue publisher with good credentials",
        "retained poison",
        "client-id takeover",
        "will spoofing",
        "replay to another device, cohort or fleet",
    ],
}


def section(title: str) -> str:
    """The text under a heading of docs/threats.md."""
    _, _, rest = THREATS.read_text().partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "attack"), [(title, one) for title, found in ATTACKS.items() for one in found]
)
def test_each_attack_of_the_published_lists_has_a_row_with_tests(title: str, attack: str) -> None:
    rows = [row for row in threat_rows(section(title)) if attack in row[0]]
    assert rows, "no row"
    for row in rows:
        named = names_in(row[-1])
        assert named, row
        assert unknown_tests(named) == []
