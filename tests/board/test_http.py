"""The board's HTTP fetcher, on real MicroPython, against servers that are slow, wrong or
hostile."""

import asyncio
import hashlib
import json
import ssl
from pathlib import Path

import pytest

from tests import micropython
from tests.agent.host_places import refused_port
from tests.agent.host_server import answering, serving
from tests.agent.telling_servers import ANSWERS, ANSWERS_IN_TLS, NUMBER, SECRET, greeting
from tests.certificates import Authority

PROGRAM = Path(__file__).parent / "programs" / "http_fetch.py"
HEAP = "64k"
DATA = bytes(range(256)) * 40  # 10,240 bytes
LENGTH = f"Content-Length: {len(DATA)}"


@pytest.fixture
def fetch(tmp_path, compiled):
    """Fetches from a server that answers with `answer`; what the board has printed."""

    def run(
        answer,
        held=b"",
        url="http://127.0.0.1:{port}/x",
        wanted=DATA,
        tls=None,
        leaves=0,
        banner=b"",
        **more,
    ):
        bank = tmp_path / "board"
        bank.mkdir(exist_ok=True)
        (bank / "a.model").write_bytes(held)
        sha256 = hashlib.sha256(wanted).hexdigest()
        config = {
            "path": [str(compiled)],
            "folder": str(bank),
            "file": {"role": "model", "size": len(wanted), "sha256": sha256},
            "silence": 60,
            "times": 1,
            "ca": "",
            "full": 0,
            "hosts": None,
            **more,
        }

        async def main():
            serves = greeting(banner) if banner else serving(answer, tls)
            async with serves as port:
                config["url"] = url.format(port=port)
                (tmp_path / "config.json").write_text(json.dumps(config))
                return await asyncio.to_thread(
                    micropython.run, tmp_path, PROGRAM, tmp_path / "config.json", heap=HEAP
                )

        done = asyncio.run(main())
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        found["data"] = (bank / "a.model").read_bytes()
        assert len(found["data"]) == found["offset"]
        assert found["left"] == leaves
        return found

    return run


@pytest.fixture
def refusal(fetch):
    """What the fetcher says; nothing must have been written."""

    def run(answer, held=b"", **more):
        found = fetch(answer, held, **more)
        assert found["kind"] == "FetchError", found
        assert found["data"] == held
        return found["error"]

    return run


def saying(status, *fields, body=b""):
    async def answer(request):
        request.head_of(status, *fields)
        request.say(body)

    return answer


# Hosts.


def test_url_of_a_host_that_is_not_listed_is_not_asked(refusal):
    async def never(request):
        raise AssertionError("it was asked")

    for hosts in ([], ["127.0.0.1"], ["127.0.0.1:22"], ["localhost:1", "example.org"]):
        said = refusal(never, hosts=hosts)
        assert "not among the %d that files may come from" % len(hosts) in said


def test_what_is_no_host_is_refused_by_the_program(fetch):
    with pytest.raises(AssertionError, match="neither HOST nor HOST:PORT"):
        fetch(answering(DATA), hosts=["http://127.0.0.1"])


def test_port_that_is_none_is_of_no_host(refusal):
    said = refusal(answering(DATA), url="http://127.0.0.1:x/x", hosts=["127.0.0.1"])
    assert "not among the 1" in said


# Good servers.


def test_whole_file(fetch):
    found = fetch(answering(DATA))
    assert (found["error"], found["matches"]) == ("", True)


def test_goes_on_where_the_file_ends(fetch):
    asked = []

    async def answer(request):
        asked.append(request.offset)
        await answering(DATA)(request)

    assert fetch(answer, DATA[:5001])["matches"]
    assert asked == [5001]


def test_server_without_ranges_is_passed_over_to_the_offset(fetch):
    for held in (0, 1, 1024, 5000, len(DATA) - 1):
        assert fetch(saying("200 OK", LENGTH, body=DATA), DATA[:held])["matches"]


def test_range_shorter_than_asked_is_taken_as_far_as_it_goes(fetch):
    fields = (f"Content-Range: bytes 100-199/{len(DATA)}", "Content-Length: 100")
    found = fetch(saying("206 Partial Content", *fields, body=DATA[100:200]), DATA[:100])
    assert (found["error"], found["data"]) == ("", DATA[:200])


def test_range_of_a_file_of_unsaid_length(fetch):
    fields = (f"content-range:bytes 100-{len(DATA) - 1}/*", f"CONTENT-LENGTH:{len(DATA) - 100}")
    found = fetch(saying("206 Partial Content", *fields, body=DATA[100:]), DATA[:100])
    assert found["matches"]


def test_request_is_what_servers_understand(fetch):
    heads = []

    async def answer(request):
        heads.append(request.head)
        await answering(DATA)(request)

    fetch(answer)
    (head,) = heads
    lines = head.split("\r\n")
    assert lines[0] == "GET /x HTTP/1.1"
    assert lines[1].startswith("Host: 127.0.0.1:")
    assert "Accept-Encoding: identity" in lines


def test_answer_that_comes_a_few_bytes_at_a_time(fetch):
    async def answer(request):
        request.head_of("200 OK", LENGTH)
        for start in range(0, len(DATA), 100):
            request.say(DATA[start : start + 100])
            await request.writer.drain()

    assert fetch(answer)["matches"]


# Wrong answers.


def test_file_one_byte_short_or_long_is_refused(refusal):
    for data in (DATA[:-1], DATA + b"x"):
        assert "not the 10240 bytes asked for" in refusal(answering(data))
        assert "not the 10240 bytes asked for" in refusal(answering(data), DATA[:100])
        length = f"Content-Length: {len(data)}"
        assert "not the 10240 bytes asked for" in refusal(saying("200 OK", length, body=data))


def test_body_longer_than_its_length_is_cut_there(fetch):
    assert fetch(saying("200 OK", LENGTH, body=DATA + b"more"))["matches"]


def test_body_shorter_than_its_length_keeps_what_came(fetch):
    found = fetch(saying("200 OK", LENGTH, body=DATA[:1500]))
    assert found["error"] == "the connection ended, 8740 bytes early"
    assert found["data"] == DATA[:1500]


def test_200_with_the_rest_only_is_refused(refusal):
    rest = DATA[5000:]
    answer = saying("200 OK", f"Content-Length: {len(rest)}", body=rest)
    assert "not the 10240 bytes asked for" in refusal(answer, DATA[:5000])


@pytest.mark.parametrize(
    "content_range",
    [
        f"bytes 0-{len(DATA) - 1}/{len(DATA)}",  # from the start
        f"bytes 99-{len(DATA) - 2}/{len(DATA)}",
        f"bytes 101-{len(DATA) - 1}/{len(DATA)}",
        f"bytes 100-{len(DATA) - 1}/{len(DATA) + 1}",  # of another file
        f"bytes 100-{len(DATA)}/*",  # past the signed end
        f"bytes 100-{len(DATA) - 2}/{len(DATA)}",  # not the body's length
        f"bytes 100-{len(DATA) - 1}",
        f"octets 100-{len(DATA) - 1}/{len(DATA)}",
        "",
        None,
    ],
)
def test_wrong_content_range_is_refused(refusal, content_range):
    rest = DATA[100:]
    fields = [f"Content-Length: {len(rest)}"]
    if content_range is not None:
        fields.append(f"Content-Range: {content_range}")
    answer = saying("206 Partial Content", *fields, body=rest)
    assert "not the 10240 bytes asked for" in refusal(answer, DATA[:100])


def test_range_past_the_signed_end_is_refused(refusal):
    size = len(DATA) - 99
    fields = (f"Content-Range: bytes 100-{len(DATA)}/*", f"Content-Length: {size}")
    answer = saying("206 Partial Content", *fields, body=bytes(size))
    assert "not the 10240 bytes asked for" in refusal(answer, DATA[:100])


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "416 No", "503 Busy", "100 Go"])
def test_redirects_and_errors_are_named(refusal, status):
    answer = saying(status, "Location: http://127.0.0.1/x", "Content-Length: 0")
    reason = refusal(answer)
    assert status[:3] in reason
    assert ("a board needs a URL without redirects" in reason) == (status[0] == "3")
    assert "b'" not in reason  # words, not the name of bytes


@pytest.mark.parametrize(("wish", "seconds"), [("120", 120), ("soon", 0), ("9" * 90, 999_999_999)])
def test_time_after_which_a_server_wants_to_be_asked_again_is_told(fetch, wish, seconds):
    found = fetch(saying("503 Busy", f"Retry-After: {wish}", "Content-Length: 0"))
    assert (found["kind"], found["retry_after"]) == ("FetchError", seconds)


def test_compressed_body_is_refused(refusal):
    said = refusal(saying("200 OK", "Content-Encoding: gzip", LENGTH, body=DATA))
    assert said == (
        "the answer has a content-encoding: a board needs it plain, with a Content-Length"
    )


def test_chunked_body_is_refused(refusal):
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA)
    for fields in (["Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", LENGTH]):
        said = refusal(saying("200 OK", *fields, body=chunk))
        assert said.endswith("transfer-encoding: a board needs it plain, with a Content-Length")


@pytest.mark.parametrize(
    "length", ["", "-1", "1e5", "0x10", "9" * 900, "9" * 4000, "10240, 10240", "\xb2"]
)
def test_length_that_is_none_is_refused(refusal, length):
    assert refusal(saying("200 OK", f"Content-Length: {length}", body=DATA))


@pytest.mark.parametrize("held", [0, 5000])
@pytest.mark.parametrize("more", [b"", b"more"])
def test_body_without_a_length_ends_with_the_connection_or_at_the_signed_size(fetch, held, more):
    assert fetch(saying("200 OK", body=DATA + more), DATA[:held])["matches"]
    span = f"Content-Range: bytes {held}-{len(DATA) - 1}/{len(DATA)}"
    answer = saying("206 Partial Content", span, body=DATA[held:] + more)
    assert fetch(answer, DATA[:held])["matches"]


def test_body_without_a_length_that_is_too_short_keeps_what_came(fetch):
    found = fetch(saying("200 OK", body=DATA[:1500]))
    assert found["error"] == "the connection ended, 8740 bytes early"
    assert found["data"] == DATA[:1500]


NO_HTTP = "the server does not answer in HTTP"
NO_END = "the answer's head has no end within 2048 bytes"
CUT_OFF = "the connection ended within the answer's head"


@pytest.mark.parametrize(
    ("garbage", "problem"),
    [
        (b"\x00\xff" * 1000, NO_END),
        (b"\xff" * 20 + b"\r\n", NO_HTTP),
        (b"\n" * 5000, NO_HTTP),
        (b"\r\n\r\n", NO_HTTP),
        (b"HTTP/1.1\r\n\r\n", NO_HTTP),
        (b"HTTP/1.1 200 OK\r\n", CUT_OFF),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000, NO_END),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, NO_END),
        (b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 1\r\n" * 20_000, NO_END),
        (b"", CUT_OFF),
    ],
)
def test_garbage_instead_of_http_is_refused(refusal, garbage, problem):
    async def answer(request):
        request.say(garbage)

    said = refusal(answer)
    # A server that goes with bytes unread may be gone before all that it said is here.
    assert said == problem or "ECONNRESET" in said


def test_head_that_is_too_long_is_refused(fetch, refusal):
    for count, good in ((150, True), (200, False)):
        answer = saying("200 OK", *["X-Y: 12345"] * count, LENGTH, body=DATA)
        if good:
            assert fetch(answer)["matches"]
        else:
            assert "no end" in refusal(answer)


def test_file_changed_between_two_ranges_does_not_match(fetch):
    found = fetch(answering(DATA[:-1] + b"\x00"), DATA[:5000])
    assert (found["offset"], found["matches"]) == (len(DATA), False)


def test_write_that_fails_comes_through_as_it_is(fetch):
    found = fetch(answering(DATA), full=3000)
    assert (found["kind"], found["data"]) == ("OSError", DATA[:2048])


# Slow servers.


def test_server_that_says_nothing_is_left(refusal):
    async def answer(request):
        await asyncio.Event().wait()

    assert refusal(answer, silence=0.2) == "the server is silent: too little came in 0.2 seconds"


def test_byte_now_and_then_is_silence(fetch):
    """Each byte comes well within the time that a buffer has."""

    async def answer(request):
        request.head_of("200 OK", LENGTH)
        for byte in DATA:
            request.say(bytes([byte]))
            await asyncio.sleep(0.02)

    assert fetch(answer, silence=0.3)["error"].startswith("the server is silent: ")


def test_header_now_and_then_is_silence(refusal):
    async def answer(request):
        request.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            request.say(b"X: y\r\n")
            await asyncio.sleep(0.02)

    assert refusal(answer, silence=0.3).startswith("the server is silent: ")


def test_each_kilobyte_has_the_whole_silence_anew(fetch):
    found = fetch(answering(DATA))
    assert found["waits"] == 2 + len(DATA) // 1024  # the connection and the head are the two


def test_closing_after_every_kilobyte_only_costs_requests(fetch):
    async def answer(request):
        rest = DATA[request.offset :]
        span = f"Content-Range: bytes {request.offset}-{len(DATA) - 1}/{len(DATA)}"
        request.head_of("206 Partial Content", span, f"Content-Length: {len(rest)}")
        request.say(rest[:1000])

    assert fetch(answer, times=11)["matches"]


# Addresses.


def test_refused_connection_is_named(refusal):
    with refused_port() as port:
        said = refusal(answering(DATA), url=f"http://127.0.0.1:{port}/x")
    assert "ECONNREFUSED" in said


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}/x", "ftp://127.0.0.1/x"])
def test_url_that_is_not_to_be_fetched_is_named(refusal, url):
    assert refusal(answering(DATA), url=url).startswith("cannot be fetched here: ")


# TLS.


def der(pem_file, folder):
    path = folder / "ca.der"
    path.write_bytes(ssl.PEM_cert_to_DER_cert(Path(pem_file).read_text()))
    return str(path)


def test_https_with_the_servers_own_authority(fetch, tmp_path):
    authority = Authority(tmp_path)
    server = authority.server_context()
    found = fetch(
        answering(DATA),
        url="https://localhost:{port}/x",
        tls=server,
        ca=der(authority.ca_file, tmp_path),
    )
    assert found["matches"], found


# MicroPython forgets the socket under a TLS stream whose handshake has failed. On boards the
# next collection closes it; the build for Unix has nothing that would.
REFUSED = {"leaves": 1}


def test_https_from_another_authority_is_refused(refusal, tmp_path):
    (tmp_path / "other").mkdir()
    server = Authority(tmp_path).server_context()
    other = der(Authority(tmp_path / "other").ca_file, tmp_path)
    said = refusal(
        answering(DATA), url="https://localhost:{port}/x", tls=server, ca=other, **REFUSED
    )
    assert "not correctly signed by the trusted CA" in said


def test_https_for_another_host_is_refused(refusal, tmp_path):
    authority = Authority(tmp_path)
    said = refusal(
        answering(DATA),
        url="https://127.0.0.1:{port}/x",
        tls=authority.server_context(),
        ca=der(authority.ca_file, tmp_path),
        **REFUSED,
    )
    assert "does not match" in said


# What it says.


def test_nothing_that_a_server_sent_is_in_an_error_but_its_status(fetch):
    left = list(ANSWERS)

    async def answer(request):
        request.say(left.pop(0))

    found = fetch(answer, times=len(ANSWERS))
    assert len(found["said"]) == len(ANSWERS)
    for said in found["said"]:
        assert SECRET.lower() not in said.lower()
        assert NUMBER not in said


def test_nothing_that_a_server_sent_instead_of_tls_is_in_an_error(fetch, tmp_path):
    ca = der(Authority(tmp_path).ca_file, tmp_path)
    for banner in ANSWERS_IN_TLS:
        said = fetch(None, url="https://localhost:{port}/x", ca=ca, banner=banner, **REFUSED)[
            "error"
        ]
        assert SECRET.lower() not in said.lower()
