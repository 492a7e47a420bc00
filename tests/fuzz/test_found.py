"""What the fuzzers have found, each as the smallest input that shows it."""

import pytest

from modelwave_controller.api.starts import CALLS
from modelwave_controller.errors import OperatorError
from modelwave_controller.rollout.plan import parse_plan
from modelwave_controller.web import said


@pytest.mark.parametrize("key", ['"\\u007f\\u001b[2J"', '"a\\nb"', '"' + "x" * 5000 + '"'])
def test_unknown_key_of_a_plan_is_named_on_one_short_line(key: str) -> None:
    with pytest.raises(OperatorError) as caught:
        parse_plan(f"{key} = 1\n".encode(), "FILE")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "digits", "release": "\\ud800"}',
        b'{"model": "digits", "release": "\xed\xa0\x80"}',
        '{"model": "digits", "release": "\\u0000"}'.encode("utf-16"),  # a NUL that was not seen
    ],
)
def test_body_that_no_database_can_keep_is_refused(body: bytes) -> None:
    start = next(call for call in CALLS if call.name == "startRollout")
    with pytest.raises(OperatorError, match=r"surrogate|no JSON|NUL"):
        said.read(start, {}, [], body)
