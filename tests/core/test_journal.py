"""Tests that the journal survives a power cut at any byte of a write; runs on both Pythons."""

import os
import random

from modelwave_agent.journal import Journal
from modelwave_shared.limits import MAX_JOURNAL_BYTES

FOLDER = "journal-test-%d" % id(object())


def fresh():
    """A journal in an empty folder below the working folder."""
    try:
        os.mkdir(FOLDER)
    except OSError:
        pass
    for name in os.listdir(FOLDER):
        os.remove(FOLDER + "/" + name)
    made = Journal(FOLDER, "j")
    assert made.read() is None
    return made


def clean_up():
    for name in os.listdir(FOLDER):
        os.remove(FOLDER + "/" + name)
    os.rmdir(FOLDER)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)


def test_newest_record_wins():
    journal = fresh()
    for number in range(5):
        journal.write({"n": number})
        assert Journal(FOLDER, "j").read() == {"n": number}
    clean_up()


def test_write_cut_at_any_byte_leaves_the_record_before_it():
    journal = fresh()
    journal.write({"n": 1, "text": "x" * 50})
    journal.write({"n": 2, "text": "y" * 50})
    old, path = contents(journal.paths[1 - journal.newest]), journal.paths[1 - journal.newest]
    journal.write({"n": 3, "text": "z" * 50})
    new = contents(path)
    end = len(new.rstrip(b"\0"))
    for cut in range(end + 1):
        torn = new[:cut] + old[cut:]
        put(path, torn)
        found = Journal(FOLDER, "j").read()
        assert found["n"] == (3 if torn == new else 2), cut
    clean_up()


def test_flipped_byte_of_the_newest_record_falls_back_to_the_one_before():
    journal = fresh()
    journal.write({"n": 1})
    journal.write({"n": 2})
    path = journal.paths[journal.newest]
    whole = contents(path)
    for at in range(len(whole.rstrip(b"\0"))):
        put(path, whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        assert Journal(FOLDER, "j").read() == {"n": 1}, at
    clean_up()


def test_files_never_change_their_length_and_a_record_too_long_is_refused():
    journal = fresh()
    journal.write({"n": 1})
    try:
        journal.write({"text": "x" * MAX_JOURNAL_BYTES})
        raise AssertionError("a record too long was written")
    except ValueError:
        pass
    for path in journal.paths:
        assert len(contents(path)) == MAX_JOURNAL_BYTES
    assert Journal(FOLDER, "j").read() == {"n": 1}
    clean_up()


def test_file_that_was_cut_short_behind_its_record_keeps_it():
    """A repair of the file system may do that, and an agent with longer journals finds it so."""
    for limit in (MAX_JOURNAL_BYTES, 2 * MAX_JOURNAL_BYTES):
        journal = fresh()
        for number in (1, 2, 3):
            journal.write({"n": number})
        for path in journal.paths:
            put(path, contents(path)[: MAX_JOURNAL_BYTES // 2 - 1])
        again = Journal(FOLDER, "j", limit)
        assert [len(contents(path)) for path in again.paths] == [limit] * 2
        assert again.read() == {"n": 3}
        again.write({"n": 4})
        assert Journal(FOLDER, "j", limit).read() == {"n": 4}
        clean_up()


def test_file_whose_making_was_cut_is_made_anew():
    """It would grow with a later write, and a longer file may find no room."""
    journal = fresh()
    journal.write({"n": 1})
    put(journal.paths[1 - journal.newest], bytes(MAX_JOURNAL_BYTES // 2))
    again = Journal(FOLDER, "j")
    assert [len(contents(path)) for path in again.paths] == [MAX_JOURNAL_BYTES] * 2
    assert again.read() == {"n": 1}
    clean_up()


def test_write_after_a_torn_one_goes_to_the_torn_file():
    journal = fresh()
    journal.write({"n": 1})
    journal.write({"n": 2})
    put(journal.paths[journal.newest], b"torn")
    again = Journal(FOLDER, "j")
    assert again.read() == {"n": 1}
    again.write({"n": 9})
    assert Journal(FOLDER, "j").read() == {"n": 9}
    clean_up()


def test_any_wrong_byte_before_the_record_falls_back_to_the_one_before():
    journal = fresh()
    journal.write({"n": 1})
    journal.write({"n": 2})
    path = journal.paths[journal.newest]
    whole = contents(path)
    again = Journal(FOLDER, "j")
    for at in range(whole.index(b"\n") + 1):
        for value in list(range(256)) + [whole[at]]:
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([value]))
            assert again.read() == {"n": 2 if value == whole[at] else 1}, (at, value)
    clean_up()


def test_random_bytes_are_no_record():
    journal = fresh()
    journal.write({"n": 1})
    path = journal.paths[1 - journal.newest]
    random.seed(18)
    for start in (b"", b"MWJ1 ", b"MWJ1 %016x %08x " % (2**64 - 1, 2**32 - 1)):
        for _ in range(100):
            noise = bytes([random.getrandbits(8) for _ in range(200)])
            put(path, (start + noise + bytes(MAX_JOURNAL_BYTES))[:MAX_JOURNAL_BYTES])
            assert Journal(FOLDER, "j").read() == {"n": 1}, noise
    clean_up()


def test_record_of_another_journal_is_none_of_this_one():
    """A FAT whose table is damaged may give a file the contents of another one."""
    other = fresh()
    other.write({"boot": 1})
    other.write({"boot": 2})
    found = Journal(FOLDER, "j")
    assert found.read("banks") is None
    assert found.is_lost
    assert found.read("boot") == {"boot": 2}
    clean_up()
