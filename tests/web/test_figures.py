"""What a test tells `make api` comes back as it was told."""

import pytest

from tests.web.figures import Figure, tell, told


def test_a_figure_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    tell("readers", 200, "of one person: all had it")
    lines = capsys.readouterr().out.splitlines()
    found = [figure for line in lines if (figure := told(line))]
    assert found == [Figure("readers", 200, "of one person: all had it")]
