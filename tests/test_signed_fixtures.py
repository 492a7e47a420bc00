"""Tests that the core's fixed envelopes are what their script makes."""

from tests.core import make_signed


def test_fixed_envelopes_are_what_the_script_makes():
    assert make_signed.SIGNED.read_text(encoding="utf-8") == make_signed.module_text(), (
        "run: python -m tests.core.make_signed"
    )
