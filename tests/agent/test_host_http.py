"""The HTTP fetcher against servers that are slow, wrong or hostile."""

import asyncio
import contextlib
import datetime
import email.utils
import errno
import hashlib
import shutil
import threading

import pytest

from modelwave_agent.host import place
from modelwave_agent.host.http import HostHttpFetcher, Pace
from modelwave_agent.intake import Intake, TooLong
from modelwave_agent.ports import FetchError
from tests.agent.hand import Hand
from tests.agent.host_places import refused_port
from tests.agent.host_server import answering, serving
from tests.agent.telling_servers import (
    ANSWERS,
    ANSWERS_IN_TLS,
    NUMBER,
    SECRET,
    greeting,
    telling,
)
from tests.certificates import Authority

DATA = bytes(range(256)) * 40  # 10,240 bytes
PATIENT = Pace(connect_seconds=60, silence_seconds=60, watch_seconds=60)
WATCHED = Pace(connect_seconds=60, silence_seconds=60, watch_seconds=30, least_bytes=1000)


def intake_of(tmp_path, held=b"", wanted=DATA):
    path = tmp_path / "a.model"
    path.write_bytes(held)
    entry = {"size": len(wanted), "sha256": hashlib.sha256(wanted).hexdigest()}
    intake = Intake(str(path), len(held), entry)
    with contextlib.suppress(StopIteration):  # it never waits, so it ends at once
        intake.catch_up(never_wait).send(None)
    return intake


async def never_wait():
    pass


def fetch(intake, answer, url="http://127.0.0.1:{port}/x", fetcher=None, times=1):
    """Fetches `times` from a server that answers with `answer`, and whose host is listed."""

    async def main():
        async with serving(answer) as port:
            found = fetcher or HostHttpFetcher(pace=PATIENT)
            if found.hosts is None:
                found.hosts = [url.format(port=port).partition("://")[2].split("/")[0]]
            for _ in range(times):
                await found.fetch(url.format(port=port), intake)

    try:
        asyncio.run(main())
    finally:
        intake.close()


def refusal(tmp_path, answer, held=b"", **options):
    """What the fetcher says; nothing must have been written."""
    intake = intake_of(tmp_path, held)
    with pytest.raises(FetchError) as caught:
        fetch(intake, answer, **options)
    assert intake.offset == len(held)
    assert (tmp_path / "a.model").read_bytes() == held
    return str(caught.value)


def saying(status, *fields, body=b""):
    async def answer(request):
        request.head_of(status, *fields)
        request.say(body)

    return answer


# Good servers.


def test_whole_file(tmp_path):
    intake = intake_of(tmp_path)
    fetch(intake, answering(DATA))
    assert intake.matches()


def test_resumes_where_the_file_ends(tmp_path):
    intake = intake_of(tmp_path, DATA[:5000])
    asked = []

    async def answer(request):
        asked.append((request.has_range, request.offset))
        await answering(DATA)(request)

    fetch(intake, answer)
    assert intake.matches()
    assert asked == [(True, 5000)]


def test_server_without_ranges_is_passed_over_to_the_offset(tmp_path):
    intake = intake_of(tmp_path, DATA[:5000])
    fetch(intake, saying("200 OK", f"Content-Length: {len(DATA)}", body=DATA))
    assert intake.matches()


def test_range_shorter_than_asked_is_taken_as_far_as_it_goes(tmp_path):
    intake = intake_of(tmp_path, DATA[:100])
    fetch(
        intake,
        saying(
            "206 Partial Content",
            f"Content-Range: bytes 100-199/{len(DATA)}",
            "Content-Length: 100",
            body=DATA[100:200],
        ),
    )
    assert intake.offset == 200


def test_asks_for_no_compression(tmp_path):
    heads = []

    async def answer(request):
        heads.append(request.head)
        await answering(DATA)(request)

    fetch(intake_of(tmp_path), answer)
    assert "\r\nAccept-Encoding: identity\r\n" in heads[0]
    assert heads[0].count("Accept-Encoding") == 1


# Bodies without a length.


def chunks(data, size=4096, extension=b"", end=b"0\r\n\r\n"):
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%X%s\r\n%s\r\n" % (len(one), extension, one) for one in pieces) + end


CHUNKED = "Transfer-Encoding: chunked"
TRAILER = b"0\r\nX-Checksum: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        (CHUNKED, chunks(DATA)),
        (CHUNKED, chunks(DATA, 1)),
        (CHUNKED, chunks(DATA, len(DATA), b';name="a value"', TRAILER)),
        ("transfer-encoding:Chunked", chunks(DATA, 999)),
        (CHUNKED, chunks(DATA).replace(b"\r\n", b"\n", 1)),
        ("Connection: close", DATA),
    ],
    ids=["chunks", "single bytes", "extension and trailer", "capitals", "bare LF", "until closed"],
)
@pytest.mark.parametrize("held", [0, 1, 5000, len(DATA) - 1])
def test_body_without_a_length_is_read(tmp_path, field, body, held):
    """Of a server without ranges: what the file has already is passed over."""
    intake = intake_of(tmp_path, DATA[:held])
    fetch(intake, saying("200 OK", field, body=body))
    assert intake.matches()


@pytest.mark.parametrize("field", [CHUNKED, "Connection: close"])
def test_range_without_a_length_is_read(tmp_path, field):
    body = chunks(DATA[5000:]) if field == CHUNKED else DATA[5000:]
    answer = saying(
        "206 Partial Content",
        f"Content-Range: bytes 5000-{len(DATA) - 1}/{len(DATA)}",
        field,
        body=body,
    )
    intake = intake_of(tmp_path, DATA[:5000])
    fetch(intake, answer)
    assert intake.matches()


@pytest.mark.parametrize("is_chunked", [True, False])
def test_endless_body_is_left_at_the_signed_size(tmp_path, is_chunked):
    async def answer(request):
        request.head_of("200 OK", CHUNKED if is_chunked else "X: y")
        with contextlib.suppress(ConnectionError):
            while True:
                request.say(chunks(DATA, end=b"") if is_chunked else DATA)
                await request.writer.drain()

    intake = intake_of(tmp_path)
    taken = []
    write = intake.write
    intake.write = lambda data: (taken.append(len(data)), write(data))
    fetch(intake, answer)
    assert sum(taken) == len(DATA)
    assert intake.matches()


@pytest.mark.parametrize("is_chunked", [True, False])
def test_body_without_a_length_that_is_too_short_keeps_what_came(tmp_path, is_chunked):
    intake = intake_of(tmp_path)
    body = chunks(DATA[:1000]) if is_chunked else DATA[:1000]
    with pytest.raises(FetchError, match="connection ended, 9240 bytes early"):
        fetch(intake, saying("200 OK", CHUNKED if is_chunked else "X: y", body=body))
    assert intake.offset == 1000


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the connection ended between two chunks"),
        (b"\r\n", "a chunk has no size"),
        (b"-5\r\n" + DATA, "a chunk has no size"),
        (b"0x10\r\n" + DATA, "a chunk has no size"),
        (b"1_0\r\n" + DATA, "a chunk has no size"),
        (b"f" * 16 + b"\r\n" + DATA, "a chunk has no size"),
        (b"\xb2\r\n" + DATA, "a chunk has no size"),
        (b"5;" + b"x" * 2000, "the line before a chunk is longer than 1024 bytes"),
        (b"1" * 2000, "the line before a chunk is longer than 1024 bytes"),
    ],
)
def test_chunk_of_nonsense_is_refused(tmp_path, body, problem):
    assert problem in refusal(tmp_path, saying("200 OK", CHUNKED, body=body))


@pytest.mark.parametrize(
    ("body", "problem", "came"),
    [
        (b"5\r\n12345678\r\n", "where the server said it ends", 5),
        (b"ffffffffffffff\r\n123", "the connection ended within a chunk", 3),
        (chunks(b"x" * 500, 1, b";" + b"e" * 900), "much less data than lines between them", 72),
    ],
    ids=["longer than said", "giant", "lines"],
)
def test_chunks_that_go_wrong_keep_what_came(tmp_path, body, problem, came):
    intake = intake_of(tmp_path)
    with pytest.raises(FetchError, match=problem):
        fetch(intake, saying("200 OK", CHUNKED, body=body))
    assert intake.offset == came


# Wrong answers.


def test_file_one_byte_short_is_refused(tmp_path):
    assert "has not the 10240 bytes that are signed" in refusal(tmp_path, answering(DATA[:-1]))


def test_file_one_byte_long_is_refused(tmp_path):
    assert "has not the 10240 bytes that are signed" in refusal(tmp_path, answering(DATA + b"x"))


def test_range_of_a_file_one_byte_long_is_refused(tmp_path):
    said = refusal(tmp_path, answering(DATA + b"x"), held=DATA[:100])
    assert "Content-Range" in said


def test_body_longer_than_its_length_is_cut_there(tmp_path):
    intake = intake_of(tmp_path)
    fetch(intake, saying("200 OK", f"Content-Length: {len(DATA)}", body=DATA + b"more"))
    assert intake.matches()


def test_body_shorter_than_its_length_keeps_what_came(tmp_path):
    intake = intake_of(tmp_path)
    with pytest.raises(FetchError, match="9240 bytes early"):
        fetch(intake, saying("200 OK", f"Content-Length: {len(DATA)}", body=DATA[:1000]))
    assert intake.offset == 1000


def test_200_instead_of_206_with_another_length_is_refused(tmp_path):
    rest = DATA[5000:]
    answer = saying("200 OK", f"Content-Length: {len(rest)}", body=rest)
    assert "are signed" in refusal(tmp_path, answer, held=DATA[:5000])


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
        f"bytes -{len(DATA)}",
        f"octets 100-{len(DATA) - 1}/{len(DATA)}",
        "",
    ],
)
def test_wrong_content_range_is_refused(tmp_path, content_range):
    rest = DATA[100:]
    answer = saying(
        "206 Partial Content",
        f"Content-Range: {content_range}",
        f"Content-Length: {len(rest)}",
        body=rest,
    )
    said = refusal(tmp_path, answer, held=DATA[:100])
    assert "Content-Range" in said or "are signed" in said


def test_206_without_content_range_is_refused(tmp_path):
    rest = DATA[100:]
    answer = saying("206 Partial Content", f"Content-Length: {len(rest)}", body=rest)
    assert "Content-Range" in refusal(tmp_path, answer, held=DATA[:100])


def test_gzipped_body_is_refused(tmp_path):
    answer = saying("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(DATA)}", body=DATA)
    assert "the body has a Content-Encoding" in refusal(tmp_path, answer)


@pytest.mark.parametrize("length", ["", "-1", "+5", "1e5", "0x10", "1_0", "10240, 10240", "9" * 20])
def test_length_that_is_no_number_is_refused(tmp_path, length):
    """It must not count as an answer without a length."""
    answer = saying("200 OK", f"Content-Length: {length}", body=DATA)
    assert "Content-Length is not a number" in refusal(tmp_path, answer)


def test_two_lengths_are_refused(tmp_path):
    answer = saying("200 OK", f"Content-Length: {len(DATA)}", "content-length: 1", body=DATA)
    assert "Content-Length is not a number" in refusal(tmp_path, answer)


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, chunked", "x"])
def test_transfer_that_is_encoded_in_another_way_than_chunks_is_refused(tmp_path, coding):
    answer = saying("200 OK", f"Transfer-Encoding: {coding}", body=chunks(DATA))
    assert "the body has a Transfer-Encoding that is not read" in refusal(tmp_path, answer)


@pytest.mark.parametrize("status", ["404 Not Found", "416 Range Not Satisfiable", "503 Busy"])
def test_error_status_is_named(tmp_path, status):
    said = refusal(tmp_path, saying(status, "Content-Length: 0"))
    assert said == f"127.0.0.1: the server answered {status[:3]}"


def date_in(seconds):
    return email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds), usegmt=True
    )


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [
        ("120", 120, 120),
        (5000, 1000, 5000),
        (-5000, 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("9" * 5000, 999_999_999, 999_999_999),
        ("\xb2", 0, 0),
        ("", 0, 0),
        ("NaN", 0, 0),
        (f"Mon, 01 Jan {10**30} 00:00:00 GMT", 0, 0),
        ("Mon, 01 Jan 2030 00:00:00 +99999999999999", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 1, 10**12),
    ],
)
def test_time_after_which_a_server_wants_to_be_asked_again_is_told(tmp_path, wish, least, most):
    field = f"Retry-After: {date_in(wish) if type(wish) is int else wish}"
    with pytest.raises(FetchError) as caught:
        fetch(intake_of(tmp_path), saying("503 Busy", field, "Content-Length: 0"))
    assert least <= caught.value.retry_after <= most


def test_garbage_instead_of_http_is_refused(tmp_path):
    async def answer(request):
        request.say(b"\x00\xff" * 1000)

    refusal(tmp_path, answer)


def test_endless_header_is_refused(tmp_path):
    async def answer(request):
        request.say(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000)

    refusal(tmp_path, answer)


@pytest.mark.parametrize(
    "piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 999]
)
def test_head_without_an_end_is_refused(tmp_path, piece):
    async def answer(request):
        with contextlib.suppress(ConnectionError):
            while True:
                request.say(piece)
                await request.writer.drain()

    assert "head has" in refusal(tmp_path, answer)


def test_interim_answers_are_passed_over(tmp_path):
    async def answer(request):
        request.head_of("103 Early Hints", "Link: </x>")
        await answering(DATA)(request)

    intake = intake_of(tmp_path)
    fetch(intake, answer)
    assert intake.matches()


@pytest.mark.parametrize("status", ["101 Switching", "204 No Content", "304 Not Modified"])
def test_status_that_has_no_file_is_refused(tmp_path, status):
    assert refusal(tmp_path, saying(status)).endswith(f"the server answered {status[:3]}")


def test_closed_before_an_answer(tmp_path):
    async def answer(request):
        pass

    assert "127.0.0.1" in refusal(tmp_path, answer)


# Slow servers.


async def wait_for_ever(request):
    await asyncio.Event().wait()


def each_ten_seconds(intake, piece):
    """A server of DATA that says so many bytes of it in each ten seconds."""

    async def answer(request):
        hand, came, write = Hand(), asyncio.Event(), intake.write

        def write_and_tell(data):
            write(data)
            hand.loop.call_soon_threadsafe(came.set)

        intake.write = write_and_tell
        request.head_of("200 OK", f"Content-Length: {len(DATA)}")
        for start in range(0, len(DATA), piece):
            request.say(DATA[start : start + piece])
            while intake.offset < start + piece:
                await came.wait()
                came.clear()
            await hand.move(10)

    return answer


def test_byte_now_and_then_runs_into_the_least_rate(tmp_path):
    """Each byte comes well within the time that a silent connection has."""
    intake = intake_of(tmp_path)
    with pytest.raises(FetchError, match=r"too slow, \d bytes in 30 seconds"):
        fetch(intake, each_ten_seconds(intake, 1), fetcher=HostHttpFetcher(pace=WATCHED))
    assert 0 < intake.offset < 10


def test_headers_now_and_then_run_into_the_least_rate(tmp_path):
    async def answer(request):
        hand = Hand()
        request.say(b"HTTP/1.1 200 OK\r\n")
        while True:
            request.say(b"X: y\r\n")
            await hand.move(10)

    said = refusal(tmp_path, answer, fetcher=HostHttpFetcher(pace=WATCHED))
    assert "too slow, 0 bytes" in said


def test_lines_between_chunks_now_and_then_run_into_the_least_rate(tmp_path):
    """No socket's timeout ends it: each byte comes in time, and none is data."""

    async def answer(request):
        hand = Hand()
        request.head_of("200 OK", CHUNKED)
        while True:
            request.say(b"0")
            await hand.move(10)

    said = refusal(tmp_path, answer, fetcher=HostHttpFetcher(pace=WATCHED))
    assert "too slow, 0 bytes" in said


def test_server_that_says_nothing_runs_into_the_deadline(tmp_path):
    pace = Pace(connect_seconds=60, silence_seconds=0.2, watch_seconds=60)
    assert "does not answer in time" in refusal(
        tmp_path, wait_for_ever, fetcher=HostHttpFetcher(pace=pace)
    )


def test_server_that_keeps_the_pace_is_not_cut_off(tmp_path):
    """Longer than several watches, at more than the least rate in each."""
    intake = intake_of(tmp_path)
    fetch(intake, each_ten_seconds(intake, 512), fetcher=HostHttpFetcher(pace=WATCHED))
    assert intake.matches()


def test_closing_after_every_kilobyte_only_costs_requests(tmp_path):
    """With the pauses of retries.py in between, which are not the fetcher's."""
    intake = intake_of(tmp_path)

    async def answer(request):
        rest = DATA[request.offset :]
        request.head_of(
            "206 Partial Content" if request.has_range else "200 OK",
            f"Content-Range: bytes {request.offset}-{len(DATA) - 1}/{len(DATA)}",
            f"Content-Length: {len(rest)}",
        )
        request.say(rest[:1024])

    async def main():
        async with serving(answer) as port:
            fetcher = HostHttpFetcher(pace=PATIENT, hosts=[f"127.0.0.1:{port}"])
            ended = 0
            while intake.offset < intake.wanted:
                try:
                    await fetcher.fetch(f"http://127.0.0.1:{port}/x", intake)
                except FetchError:
                    ended += 1
            return ended

    assert asyncio.run(main()) == 9  # the tenth kilobyte is the last
    intake.close()
    assert intake.matches()


def test_file_changed_between_two_ranges_does_not_match(tmp_path):
    intake = intake_of(tmp_path, DATA[:5000])
    fetch(intake, answering(DATA[:-1] + b"\x00"))
    assert intake.offset == intake.wanted
    assert not intake.matches()


# The medium.


class FullDisk(Intake):
    code = errno.ENOSPC

    def write(self, data):
        raise OSError(self.code, "as the medium says")


class BrokenDisk(FullDisk):
    code = errno.EIO


@pytest.mark.parametrize("kind", [FullDisk, BrokenDisk])
def test_what_the_medium_says_comes_through(tmp_path, kind):
    intake = intake_of(tmp_path)
    intake.__class__ = kind
    with pytest.raises(OSError, match="as the medium says") as caught:
        fetch(intake, answering(DATA))
    assert caught.value.errno == kind.code


def test_byte_too_many_for_the_intake_comes_through(tmp_path):
    """The size that the intake was promised is the last bound, whatever the server said."""
    intake = intake_of(tmp_path)
    write = intake.write
    intake.write = lambda data: write(bytes(data) + bytes(len(DATA)))
    with pytest.raises(TooLong):
        fetch(intake, answering(DATA))
    assert intake.offset == 0


# Addresses.


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",  # the same as one number
        "0xa9.0xfe.0xa9.0xfe",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "[ff02::1]",
        "[fd00:ec2::254]",  # metadata services
        "100.100.100.200",
        "[64:ff9b::a9fe:a9fe]",  # the first one, through a translator
        "[2002:a9fe:a9fe::1]",
    ],
)
def test_address_that_no_device_asks_is_refused(tmp_path, host):
    said = refusal(tmp_path, wait_for_ever, url=f"http://{host}:{{port}}/x")
    assert ": a device may connect to none of its 1 addresses" in said


def test_name_that_leads_to_a_refused_address_is_refused(tmp_path, monkeypatch):
    def resolved(host, port, **_):
        return [(2, 1, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(place.socket, "getaddrinfo", resolved)
    said = refusal(tmp_path, wait_for_ever, url="http://files.example:{port}/x")
    assert said == "files.example: a device may connect to none of its 1 addresses"


def test_name_is_resolved_once_and_what_was_checked_is_connected_to(tmp_path, monkeypatch):
    """A name server that answers otherwise the second time (DNS rebinding) is not asked."""
    asked = []

    def resolved(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(place.socket, "getaddrinfo", resolved)
    intake = intake_of(tmp_path)
    private = HostHttpFetcher(pace=PATIENT, private_networks=True)
    fetch(intake, answering(DATA), url="http://files.example:{port}/x", fetcher=private)
    assert intake.matches()
    assert asked == ["files.example"]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://:80/x", "http://[::1/x", "x"])
def test_url_that_is_none_is_refused(tmp_path, url):
    assert "not an http or https URL" in refusal(tmp_path, wait_for_ever, url=url)


def test_name_server_that_does_not_answer_does_not_hold_up_the_end(tmp_path, monkeypatch):
    fetcher = HostHttpFetcher(pace=Pace(connect_seconds=0.05), hosts=["files.example"])
    before, free = set(threading.enumerate()), threading.Event()
    monkeypatch.setattr(place.socket, "getaddrinfo", lambda *_, **__: free.wait(60))
    try:
        with pytest.raises(FetchError, match=r"files\.example: the name was not resolved within"):
            asyncio.run(fetcher.fetch("http://files.example/x", None))
        assert {t for t in threading.enumerate() if not t.daemon} <= before
    finally:
        free.set()


def test_device_without_threads_is_a_failed_fetch(tmp_path, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    async def main(url):
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", start)
            # A literal address is resolved in a thread too.
            with pytest.raises(FetchError, match=r"127\.0\.0\.1: .*temporarily unavailable"):
                await HostHttpFetcher(hosts=["127.0.0.1:1"]).fetch(url, intake_of(tmp_path))

    asyncio.run(main("http://127.0.0.1:1/x"))


def test_refused_connection_is_named(tmp_path):
    with refused_port() as port:
        said = refusal(tmp_path, wait_for_ever, url=f"http://127.0.0.1:{port}/x")
    assert "refused" in said


# Cancelling.


async def send_a_part_and_wait(request):
    request.head_of("200 OK", f"Content-Length: {len(DATA)}")
    request.say(DATA[:1000])
    await asyncio.Event().wait()


def cancel_fetch(intake, written, meanwhile):
    """Cancels a fetch once `written` (asyncio.Event) says that it wrote."""

    async def main():
        async with serving(send_a_part_and_wait) as port:
            fetcher = HostHttpFetcher(pace=PATIENT, hosts=[f"127.0.0.1:{port}"])
            fetching = asyncio.create_task(fetcher.fetch(f"http://127.0.0.1:{port}/x", intake))
            await asyncio.to_thread(written.wait)
            fetching.cancel()
            await meanwhile(fetching)
            ended, _ = await asyncio.wait([fetching], timeout=20)
            assert ended, "it waits for the server"
            assert fetching.cancelled()

    asyncio.run(main())


def test_cancelled_fetch_does_not_wait_for_a_silent_server(tmp_path):
    intake, written = intake_of(tmp_path), threading.Event()
    write = intake.write
    intake.write = lambda data: (write(data), written.set())

    async def meanwhile(fetching):
        pass

    cancel_fetch(intake, written, meanwhile)
    intake.close()
    assert intake.offset == 1000


def test_cancelled_fetch_waits_for_the_write_under_way(tmp_path):
    """Or the thread would write to a file that somebody else has taken over."""
    intake, writing, go_on = intake_of(tmp_path), threading.Event(), threading.Event()
    write = intake.write

    def write_slowly(data):
        writing.set()
        assert go_on.wait(60)
        write(data)

    intake.write = write_slowly

    async def meanwhile(fetching):
        for _ in range(3):  # however often it is cancelled
            done, _ = await asyncio.wait([fetching], timeout=0.02)
            assert not done
            fetching.cancel()
        go_on.set()

    cancel_fetch(intake, writing, meanwhile)
    intake.close()
    assert intake.offset == 1000


# TLS.


def at(port):
    """What a fetcher is told for the URL https://localhost:{port}."""
    return {"hosts": [f"localhost:{port}"], "private_networks": True}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def test_https_with_the_fleets_own_authority(tmp_path, authority):
    intake = intake_of(tmp_path)

    async def main():
        async with serving(answering(DATA), tls=authority.server_context()) as port:
            fetcher = HostHttpFetcher(authority.ca_file, **at(port))
            await fetcher.fetch(f"https://localhost:{port}/x", intake)

    asyncio.run(main())
    intake.close()
    assert intake.matches()


def test_https_from_another_authority_is_refused(tmp_path, authority):
    async def main():
        async with serving(answering(DATA), tls=authority.server_context()) as port:
            await HostHttpFetcher(**at(port)).fetch(
                f"https://localhost:{port}/x", intake_of(tmp_path)
            )

    with pytest.raises(FetchError, match="the certificate is "):
        asyncio.run(main())


def test_https_for_another_host_is_refused(tmp_path, authority):
    async def main():
        async with serving(answering(DATA), tls=authority.server_context()) as port:
            fetcher = HostHttpFetcher(authority.ca_file, hosts=[f"127.0.0.1:{port}"])
            await fetcher.fetch(f"https://127.0.0.1:{port}/x", intake_of(tmp_path))

    with pytest.raises(FetchError, match="the certificate is for another address"):
        asyncio.run(main())


def test_authorities_are_read_at_each_connection(tmp_path, authority):
    """A rotated file serves without a restart. One that cannot be used does no harm meanwhile."""
    ca_file = tmp_path / "ca.pem"
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(Authority(other).ca_file, ca_file)
    fetcher = HostHttpFetcher(str(ca_file), PATIENT, private_networks=True)
    told = []
    fetcher.authorities.tell = told.append

    async def fetched(port):
        fetcher.hosts = [f"localhost:{port}"]
        intake = intake_of(tmp_path)
        try:
            await fetcher.fetch(f"https://localhost:{port}/x", intake)
        finally:
            intake.close()
        return intake.matches()

    async def main():
        async with serving(answering(DATA), tls=authority.server_context()) as port:
            with pytest.raises(FetchError, match="the certificate is "):
                await fetched(port)
            shutil.copy(authority.ca_file, ca_file)
            assert await fetched(port)
            assert told == []
            for spoil in (lambda: ca_file.write_text("garbage"), ca_file.unlink):
                spoil()
                assert await fetched(port)
                assert await fetched(port)
                assert told[-1].startswith(f"{ca_file}: ")
                assert told[-1].endswith("; what was read before is still used")
            assert len(told) == 2
            shutil.copy(authority.ca_file, ca_file)
            assert await fetched(port)
            assert told[2:] == [""]

    asyncio.run(main())


# What it says.


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_that_a_server_sent_is_in_an_error_but_its_status(tmp_path, answer):
    fetcher = HostHttpFetcher(pace=Pace(10, 10, 10))
    intake = intake_of(tmp_path)
    with pytest.raises(FetchError) as caught:
        fetch(intake, telling(answer), fetcher=fetcher)
    assert_tells_nothing(caught.value)


@pytest.mark.parametrize("banner", ANSWERS_IN_TLS)
def test_nothing_that_a_server_sent_instead_of_tls_is_in_an_error(tmp_path, authority, banner):
    async def main():
        async with greeting(banner) as port:
            fetcher = HostHttpFetcher(authority.ca_file, **at(port))
            await fetcher.fetch(f"https://localhost:{port}/x", intake_of(tmp_path))

    with pytest.raises(FetchError, match=r"localhost: ") as caught:
        asyncio.run(main())
    assert_tells_nothing(caught.value)


def assert_tells_nothing(error):
    while error:  # the log may have its causes
        assert SECRET.lower() not in str(error).lower()
        assert NUMBER not in str(error)
        error = error.__cause__
