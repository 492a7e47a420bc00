"""The version, as both Pythons say it; tests/test_version.py builds wheels."""

from modelwave_shared import version


def test_version_is_told_with_the_commit_where_one_is_known():
    known = version.commit()
    assert version.described() == version.VERSION + ("+g" + known if known else "")


def test_commit_is_written_into_a_source_that_has_none():
    source = 'VERSION = "0.1.0"\nCOMMIT = ""\nREST = COMMIT\n'
    written = 'VERSION = "0.1.0"\nCOMMIT = "%s"\nREST = COMMIT\n'
    assert version.stamped(source) == written % version.commit()


def test_commit_that_a_build_wrote_in_stays():
    source = 'VERSION = "0.1.0"\nCOMMIT = "1a2b3c4"\n'
    assert version.stamped(source) == source
