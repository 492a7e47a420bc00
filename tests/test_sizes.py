"""What `make footprint` records and compares."""

from pathlib import Path

from benchmarks import sizes


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = sizes.Sizes({"a/b.mpy": 5}, {"a whole update, code in files": 81408})
    sizes.write(found, tmp_path / "sizes.toml")
    assert sizes.read(tmp_path / "sizes.toml") == found


def test_each_row_says_how_much_has_changed() -> None:
    now, recorded = {"more": 1200, "less": 7, "same": 5, "added": 1}, {"more": 1, "less": 9}
    recorded |= {"same": 5, "left": 3}
    assert list(sizes.compared(now, recorded)) == [
        "| more | 1,200 | +1,199 |",
        "| less | 7 | -2 |",
        "| same | 5 |  |",
        "| added | 1 | new |",
    ]
    assert list(sizes.gone(now, recorded)) == ["| left | gone | -3 |"]


def test_only_mpy_files_count() -> None:
    files = {"source/a.py": b"text", "package.json": b"{}", "a.mpy": b"12345"}
    assert sizes.of_package(files) == {"a.mpy": 5}
