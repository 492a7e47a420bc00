from modelwave_shared import version


def test_version_is_told_with_the_commit_where_one_is_known():
    assert version.described("1a2b3c4") == version.VERSION + "+g1a2b3c4"
    assert version.described("") == version.VERSION
