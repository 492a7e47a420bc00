"""What the fuzzers have found, each as the smallest input that shows it."""

import base64
import io
from pathlib import Path

import pytest

from modelwave_agent.board import http as board_http
from modelwave_agent.host import answer
from modelwave_agent.host.place import _parts
from modelwave_agent.ports import FetchError
from modelwave_controller.api.starts import CALLS
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit.errors import ModelError
from modelwave_controller.fit.model import read_model
from modelwave_controller.models.targets import read_targets
from modelwave_controller.rollout.plan import parse_plan
from modelwave_controller.trust import keys
from modelwave_controller.web import said
from tests.fuzz.downloads import _Intake, _Stream
from tests.fuzz.judging import run


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


def test_field_of_a_query_that_is_unprintable_is_named_on_one_line() -> None:
    start = next(call for call in CALLS if call.name == "startRollout")
    with pytest.raises(OperatorError) as caught:
        said.read(start, {}, [("r\x7f\nllout", "1")], b"")
    assert str(caught.value).startswith("r??llout: the query has no fields here")


@pytest.mark.parametrize("place", ["[2001:db8::1]ht", "[2001:db8::1]:", "a.test:", "a.test:08443"])
def test_what_follows_a_host_and_is_no_port_is_no_url_of_a_file(place: str) -> None:
    """urllib passes over it; boards and the controller never did."""
    with pytest.raises(FetchError, match="not an http or https URL"):
        _parts(f"http://{place}/{'ab' * 32}")


def test_window_of_maintenance_with_a_control_character_is_refused_on_one_line() -> None:
    with pytest.raises(OperatorError) as caught:
        parse_plan(b'[maintenance]\nwindows = ["\\u0000\\n"]\n', "FILE")
    assert str(caught.value).isprintable()


def test_target_with_an_unprintable_name_is_refused_on_one_line() -> None:
    with pytest.raises(OperatorError) as caught:
        read_targets('["\u0085\U000e0820"]\n', "FILE")
    assert str(caught.value).isprintable()


def test_key_of_another_kind_that_openssl_does_not_take_is_refused(tmp_path: Path) -> None:
    """It says that it is a key of X448, and has 32 bytes."""
    file = tmp_path / "key.pem"
    text = "MC4CAQAwBQYDK2VvBCIEI" + 43 * "A"
    file.write_text(f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
    with pytest.raises(OperatorError, match="not a private key"):
        keys.load_key(file, bytes)


@pytest.mark.parametrize(
    "line", [b"\rTransfer-Encoding: chunked", b" Transfer-Encoding: chunked", b"\r"]
)
def test_line_of_a_head_that_begins_with_white_space_is_no_field(line: bytes) -> None:
    """It goes on with the field before it, as an old HTTP had it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\n" + line + b"\r\n\r\nbody"
    with pytest.raises(FetchError, match="a line that is no field"):
        answer.read_head(io.BufferedReader(io.BytesIO(head)))  # type: ignore[arg-type]


def test_only_spaces_and_tabs_around_the_value_of_a_field_are_no_part_of_it() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\x1d\r\n\r\n"
    found = answer.read_head(io.BufferedReader(io.BytesIO(head)))  # type: ignore[arg-type]
    with pytest.raises(FetchError, match="a Transfer-Encoding that is not read here"):
        found.is_chunked()


@pytest.mark.parametrize(
    "line", [b"\rContent-Length: 3", b"\tContent-Length: 3", b"  ", b"\r ", b"\r\r"]
)
def test_line_that_begins_with_white_space_neither_is_a_field_on_a_board_nor_ends_the_head(
    line: bytes,
) -> None:
    stream = _Stream(b"HTTP/1.1 200 OK\nContent-Length: 3000\n" + line + b"\n\nbody")
    buffer = memoryview(bytearray(board_http.BUFFER_BYTES))
    asked = board_http._ask(stream, "GET", buffer, _Intake(0, 3000))  # type: ignore[arg-type]
    assert run(asked) == 3000
    assert stream.file.read() == b"body"


def test_chunk_that_ends_with_a_bare_line_feed_is_refused() -> None:
    """Others pass over two bytes there, and read another size of the next chunk."""
    stream = io.BufferedReader(io.BytesIO(b"3\r\nabc\n800\r\nmore"))  # type: ignore[arg-type]
    body = answer.ChunkedBody(stream)
    assert body.read(10) == b"abc"
    with pytest.raises(FetchError, match="no end of line"):
        body.read(10)


_ODD_VTABLE = (
    "GAAAAFRGTDMAAA4AFAAQAAwACAAAAAQADgAAABAAAABcAAAAGAAAAAMAAAABAAAACAAAAAQABAAEAAAAAQAAABAAAA"
    "AMABAADwAIAAAABAAMAAAAIAAAAAgAAAAAAAAgEAAAAFNpZ25hbE92ZXJsYXBBZGQAAAAAAAAAAAEAAAAQAAAADAAU"
    "ABAADAAIAAQADAAAACQAAAAMAAAAEAAAAHAAAAABAAAAAAAAAAIAAAAAAAAAAQAAAAEAAAAUAAAAEAAQAAAADAAIAA"
    "AAAAAEABAAAAAMAAAAKAAAACwAAAAaAAAAVABmcmFtZV9zdGVwAAAQAAwACAAEAAwAJAEAAAEAAAACAAAAAQAAAAEA"
    "AAADAAAAfAAAADwAAAAEAAAA2P///xgAAAAAAAAHBAAAAAIAAAADAAAADwAAAAcAAAB0ZW5zb3IyAAwAEAAMAAsAAA"
    "AEAAwAAAAcAAAAAAAABwQAAAADAAAAAwAAAAEAAAAXAAAABwAAAHRlbnNvcjEAAAAFABQAEAAPAAAACAAEAA4AAAAc"
    "AAAATAAAAAAAAAkwAAAADAAMAAAAAAAIAAQADAAAAAgAAAAQAAAAAQAAAPf/////////AQAAAM3MzD0EAAAAAQAAAA"
    "EAAAADAAAABAAAAAcAAAB0ZW5zb3IwAA=="
)


def test_table_of_a_model_with_a_vtable_that_cuts_a_field_in_two_is_refused() -> None:
    """TFLite takes the field, here a tensor's shape, which was absent for the fit."""
    with pytest.raises(ModelError, match="has a vtable of 5 bytes"):
        read_model(base64.b64decode(_ODD_VTABLE))
