"""Zips behind models are read within limits, whatever their bytes claim."""

import io
import struct
import tracemalloc
import zipfile
from random import Random

import pytest

from modelwave_controller.fit import zip_list
from modelwave_controller.fit.zip_list import MAX_ENTRIES, ZipError

NAMES = {"a.txt": b"one\ntwo\n" * 50, "b/c.txt": b"x"}


def packed(
    files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, before: bytes = b""
) -> bytes:
    made = io.BytesIO(before)
    made.seek(0, 2)
    with zipfile.ZipFile(made, "a" if before else "w", method) as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return made.getvalue()


def contents(data: bytes, limit: int = 1000) -> dict[str, bytes]:
    return {one.name: zip_list.read(data, one, limit) for one in zip_list.entries(data)}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_files_are_read_as_they_were_packed(method: int) -> None:
    assert contents(packed(NAMES, method)) == NAMES
    assert contents(packed(NAMES, method, before=b"a model" * 100)) == NAMES
    # With positions from the zip's own start, as of two files that were joined.
    assert contents(b"a model" * 100 + packed(NAMES, method)) == NAMES


def test_a_file_above_the_limit_is_refused_before_it_is_unpacked() -> None:
    bomb = packed({"bomb": bytes(1 << 24)})
    assert len(bomb) < 1 << 15
    with pytest.raises(ZipError, match="has 16777216 bytes, 1000 at most"):
        contents(bomb)
    assert contents(packed({"just": bytes(1000)})) == {"just": bytes(1000)}


def test_a_bomb_that_lies_about_its_size_unpacks_no_more_than_the_limit() -> None:
    bomb = bytearray(packed({"bomb": bytes(1 << 26)}))
    place = bomb.rindex(b"PK\1\2") + 24
    bomb[place : place + 4] = struct.pack("<I", 1000)
    tracemalloc.start()
    try:
        with pytest.raises(ZipError, match="length or checksum"):
            contents(bytes(bomb))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_more_files_than_the_limit_are_refused() -> None:
    many = {str(number): b"" for number in range(MAX_ENTRIES + 1)}
    with pytest.raises(ZipError, match=f"{MAX_ENTRIES} at most"):
        zip_list.entries(packed(many))
    assert len(zip_list.entries(packed(dict(list(many.items())[1:])))) == MAX_ENTRIES


def test_what_is_no_zip_is_said() -> None:
    for data in (b"", b"PK\5\6", b"x" * 100, packed(NAMES)[:-30]):
        with pytest.raises(ZipError, match="no zip"):
            zip_list.entries(data)


def test_damaged_zips_end_in_no_other_error() -> None:
    rng = Random(3)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        whole = packed(NAMES, method, before=b"model")
        for _ in range(500):
            data = bytearray(whole)
            for _ in range(3):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                contents(bytes(data))
            except ZipError:
                continue
