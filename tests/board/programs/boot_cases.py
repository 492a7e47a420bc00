"""The boot module on MicroPython: which agent it starts, and what it imports it from.

micropython boot_cases.py FOLDER

FOLDER has good.package, with the module `told`.
"""

import hashlib
import os
import sys

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
ROOT = HERE + "/../../.."
sys.path[:0] = [ROOT, ROOT + "/shared", ROOT + "/agent"]

import vfs  # noqa: E402
from tests.board.programs import cases  # noqa: E402

from modelwave_agent.board import boot, self_update  # noqa: E402
from modelwave_agent.journal import Journal  # noqa: E402
from modelwave_agent.record import new_record  # noqa: E402

FOLDER = sys.argv[1]
STATE = FOLDER + "/modelwave"
BANKS = STATE + "/agent"
with open(FOLDER + "/good.package", "rb") as file:
    GOOD = file.read()


def entry(data=GOOD, confirmed=True):
    sha256 = hashlib.sha256(data).digest().hex()
    files = [{"role": "golden", "sha256": "0"}, {"role": "model", "sha256": sha256}]
    return {"files": files, "confirmed": confirmed}


def board(state="idle", live=0, banks=(None, None), tries=1, held=GOOD):
    """A board with this record, and `held` in both banks."""
    for path in (STATE, BANKS):
        try:
            os.mkdir(path)
        except OSError:
            pass
    for name in os.listdir(BANKS):
        os.remove(BANKS + "/" + name)
    for name in "ab":
        with open("%s/%s.model" % (BANKS, name), "wb") as file:
            file.write(held)
    record(state, live, banks, tries)


def record(state="idle", live=0, banks=(None, None), tries=1):
    journal = Journal(BANKS, "journal")
    journal.read()
    new = new_record()
    new.update({"state": state, "live": live, "banks": list(banks), "tries": tries})
    new["order"] = {"epoch": 0, "seq": 1, "sha256": "ab" * 32}
    journal.write(new)


def leave():
    if boot.MOUNT in sys.path:
        sys.path.remove(boot.MOUNT)
        vfs.umount(boot.MOUNT)


def start():
    """What the board starts now."""
    leave()
    found = boot.Start(STATE, lambda: None)
    found.choose()
    assert (boot.MOUNT in sys.path) == bool(found.place)
    return found


def ended(program):
    """How often the board is reset when this program of a trial ends; and what is told of it."""
    board("trial", banks=(None, entry(confirmed=False)))
    leave()
    with open(FOLDER + "/broken.py", "w") as file:
        file.write(program)
    sys.path.append(FOLDER)
    resets = []
    try:
        boot.run("broken", STATE, 300, lambda: resets.append(1))
    finally:
        sys.path.remove(FOLDER)
        sys.modules.pop("broken", None)
        sys.modules.pop("held", [0])[0] = 0
    return len(resets), start().verdict


def test_board_without_an_update_starts_its_own_agent():
    board()
    assert (start().place, start().lost, start().verdict) == ("", "", "")
    assert "boot" not in os.listdir(BANKS)


def test_confirmed_bank_is_imported_from_its_package():
    board(live=1, banks=(None, entry()))
    assert start().place == "b"
    sys.modules.pop("told", None)
    import told

    assert told.__file__ == boot.MOUNT + "/told.py"


def test_trial_begins_once_for_each_try():
    banks = (entry(), entry(confirmed=False))
    board("trial", banks=banks)
    first = start()
    assert (first.place, first.on_trial) == ("b", True)
    second = start()
    assert (second.place, second.on_trial, second.verdict) == ("a", False, "")
    record("trial", banks=banks, tries=2)
    assert start().on_trial


def test_try_that_a_clean_stop_gave_back_is_begun_again():
    banks = (entry(), entry(confirmed=False))
    board("trial", banks=banks)
    assert start().on_trial
    record("fetching", banks=banks, tries=0)
    assert start().place == "a"
    record("trial", banks=banks, tries=1)
    assert start().on_trial


def test_reason_of_a_trial_that_has_failed_is_told_to_the_agent_before():
    board("trial", banks=(None, entry(confirmed=False)))
    start().fail("it is broken")
    found = start()
    assert (found.place, found.verdict) == ("", "it is broken")


def test_fault_of_an_agent_that_is_not_on_trial_is_no_verdict():
    board(banks=(entry(), None))
    start().fail("its network has gone")
    assert (start().place, start().verdict) == ("a", "")


def test_program_that_ends_in_any_way_resets_the_board():
    silent = "class Silent(Exception):\n    def __str__(self): return 1 / 0\nraise Silent"
    assert ended(silent) == (1, "Silent")
    assert ended("import asyncio\nraise asyncio.CancelledError") == (1, "CancelledError: ")
    assert ended("") == (1, "the program has ended")


def test_program_that_leaves_no_memory_resets_the_board_and_the_reason_is_told():
    fills = "import sys\nlast = sys.modules['held'] = [0]\n"
    fills += "while 1:\n    last[0] = [0]\n    last = last[0]\n"
    resets, verdict = ended(fills)
    assert (resets, verdict[:11]) == (1, "MemoryError"), verdict


def test_candidate_whose_package_is_not_what_was_signed_is_not_begun():
    banks = (entry(), entry(b"another", confirmed=False))
    board("trial", banks=banks)
    found = start()
    assert (found.place, found.on_trial, found.verdict, found.lost) == ("a", False, "", "")


def test_candidate_that_cannot_be_mounted_has_failed_and_no_other_bank_is_blamed():
    broken = b"no package"
    board("trial", banks=(None, entry(broken, confirmed=False)), held=broken)
    found = start()
    assert (found.place, found.on_trial, found.lost) == ("", False, "")
    assert found.verdict == "ValueError: no package of the agent for boards", found.verdict


def test_trial_that_cannot_be_written_down_is_not_begun():
    board("trial", banks=(None, entry(confirmed=False)))
    os.mkdir(BANKS + "/boot")
    try:
        found = start()
        assert (found.place, found.on_trial) == ("", False)
        assert found.verdict.startswith("its start cannot be written down"), found.verdict
    finally:
        os.rmdir(BANKS + "/boot")


def test_bank_that_is_damaged_is_passed_over_for_the_other_then_for_its_own():
    board(banks=(entry(b"another"), entry()))
    found = start()
    assert (found.place, found.lost) == ("b", "bank a: its package is not what was signed")
    board(banks=(entry(b"another"), entry(confirmed=False)))
    assert start().place == ""
    board(banks=(entry(), None))
    os.remove(BANKS + "/a.model")
    assert "cannot be read" in start().lost


def test_bank_that_brings_no_report_back_is_passed_over_after_some_starts():
    board(banks=(entry(), None))
    for _ in range(boot.MAX_STARTS):
        assert start().place == "a"
    found = start()
    assert (found.place, found.lost) == ("", "bank a: 10 starts in a row brought no report back")


def test_report_that_came_back_forgets_the_starts():
    board(banks=(entry(), None))
    for _ in range(boot.MAX_STARTS - 1):
        start()
    start().reported()
    assert start().place == "a"


def test_bank_that_is_filled_anew_begins_with_no_starts():
    board(live=1, banks=(None, entry()))
    for _ in range(boot.MAX_STARTS):
        start()
    record("trial", 0, (None, entry(confirmed=False)))
    assert start().on_trial
    record("idle", 1, (None, entry()))
    assert start().place == "b"


def test_journal_that_cannot_be_read_says_nothing():
    board(banks=(entry(), None))
    for number in (0, 1):
        with open("%s/journal.%d" % (BANKS, number), "wb") as file:
            file.write(b"MWJ1 " + b"\0" * 200)
    assert start().place == ""
    board(banks=("no", "entries"))
    found = start()
    assert (found.place, found.on_trial) == ("", False)
    assert found.lost


def test_torn_write_of_the_journal_leaves_the_record_before_it():
    board(live=0, banks=(entry(), None))
    record("trial", 0, (entry(), entry(confirmed=False)))
    newest = boot._newest(BANKS + "/journal")
    assert newest["state"] == "trial"
    for number in (0, 1):
        path = "%s/journal.%d" % (BANKS, number)
        if boot._read(path)[1] == newest:
            with open(path, "r+b") as file:
                file.seek(120)
                file.write(b"torn")
    assert start().place == "a"


def test_file_that_is_no_package_is_refused():
    for data in (
        b"",
        b"MWP1 00000004\nabcd",
        b"MWP1 7fffffff\n\n",
        b"MWP1 zzzzzzzz\n\n",
        GOOD[:20],
    ):
        with open(FOLDER + "/bad.package", "wb") as file:
            file.write(data)
        try:
            boot.Package(FOLDER + "/bad.package")
        except ValueError:
            continue
        raise AssertionError(data)


def test_package_has_its_files_and_no_others():
    package = boot.Package(FOLDER + "/good.package")
    assert package.stat("/told.py")[0] == boot._FILE
    assert package.stat("/folder")[0] == boot._FOLDER
    buffer = bytearray(100)
    count = package.open("/folder/other.py", "rb").readinto(buffer)
    assert bytes(buffer[:count]) == b"WORD = 'other'\n"
    for path in ("/tol", "/told.pyx", "/folder/other", "/0", "/ "):
        try:
            package.stat(path)
        except OSError:
            continue
        raise AssertionError(path)


def test_agent_in_rom_takes_no_package():
    mpy = sys.implementation._mpy & 0xFF
    for path in ("/rom/modelwave_agent/a.mpy", "modelwave_agent/a.py"):
        assert list(self_update.offered(path)) == ["rom"]
    for path in ("/lib/modelwave_agent/a.mpy", "modelwave_agent/a.mpy", boot.MOUNT + "/a.mpy"):
        assert list(self_update.offered(path)) == ["mpy%d" % mpy]


boot.PAUSE_SECONDS = 0
cases.run(globals())
