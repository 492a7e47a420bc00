"""Fixtures for the tests on boards."""

import pytest

from modelwave_controller.boards import package


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """The folder of the package for boards: the sources would not compile in a board's heap."""
    folder = tmp_path_factory.mktemp("compiled")
    package.write(package.build(), folder)
    return folder
