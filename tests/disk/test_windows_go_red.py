"""The sweep of the windows finds what it is for: it goes red where the code is broken."""

from collections.abc import Iterator

import pytest

from modelwave_agent.host.kept_windows import KeptObservations
from tests.disk import windows
from tests.disk.mounted import patched
from tests.disk.sweep import Count, Found
from tests.disk.windows import SCRIPTS


@pytest.fixture(autouse=True)
def on_memory() -> Iterator[None]:
    with patched():
        yield


@pytest.mark.slow
def test_the_sweep_goes_red_where_windows_get_other_numbers_after_the_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They would count twice if the power is cut while they are sent."""
    following = KeptObservations.next

    def renumbered(self, numbered, now):  # type: ignore[no-untyped-def]
        document = following(self, numbered, now)
        return document and {**document, **numbered()}

    monkeypatch.setattr(KeptObservations, "next", renumbered)
    script = SCRIPTS["windows, and no answer"]
    with pytest.raises(Found, match="more than once"):
        windows.sweep(script, Count(stops=True)).run(script.start(), script.seen())


@pytest.mark.slow
def test_the_sweep_goes_red_where_windows_are_sent_before_they_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KeptObservations, "_store", lambda self: None)
    script = SCRIPTS["windows"]
    with pytest.raises(Found, match=r"is gone|is lost|clean stop"):
        windows.sweep(script, Count(stops=True)).run(script.start(), script.seen())
