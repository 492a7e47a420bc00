"""Finds out what is wrong with an SQLite file, after an error that a damaged file may have caused.

SQLite itself notices few damages: where a page is not what it expects. It returns a text that is
not UTF-8, a text in place of a number or half a JSON document as they are, and the program fails
later, in any way. So the whole file is read here. That takes some seconds for 100 MB, so it
is done only after an error, and for a backup.
"""

import json
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, LargeBinary, Table, Text

from modelwave_controller.errors import StorageError
from modelwave_controller.storage.migrate import NEWEST
from modelwave_controller.storage.tables import metadata

HEADER = b"SQLite format 3\0"
NO_DATABASE = "it is not an SQLite database"
_HEADER_BYTES = 100
_PROOF = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_MADE = "SELECT name, CAST(type AS BLOB) FROM sqlite_schema"

# SQLite's types of a value, by the column's type.
_TYPES: dict[type[Any], tuple[str, ...]] = {
    Text: ("text",),
    Integer: ("integer",),
    BigInteger: ("integer",),
    Boolean: ("integer",),
    Float: ("real", "integer"),
    LargeBinary: ("blob",),
}
_LARGEST = {BigInteger: "4611686018427387904", Integer: "4611686018427387904", Float: "1e300"}
_ONE_ROW = ("clock", "lease")
_HEADS = (b"event", b"ticked", b"heard", b"members")


def _is_integer(value: object) -> bool:
    return type(value) is int


def _is_slots(value: Any) -> bool:
    return all(len(pair) == 2 and all(map(_is_integer, pair)) for pair in value)


def _is_reads(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_integer, value.values()))


def _is_installs(value: Any) -> bool:
    return all(type(name) is str and _is_integer(boot + n) for name, boot, n in value)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


# What the JSON in a column must be; "" is none. (A check may raise TypeError or ValueError.)
_JSON: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("devices", "reads"): _is_reads,
    ("devices", "installs"): _is_installs,
    ("metrics", "installs"): _is_installs,
    ("shadow_metrics", "installs"): _is_installs,
    ("orders", "slots"): _is_slots,
    ("events", "body"): _is_object,
    ("windows", "measures"): _is_object,
    ("window_spans", "measures"): _is_object,
    ("shadow_windows", "measures"): _is_object,
    ("shadow_spans", "measures"): _is_object,
}


def found(file: Path) -> str:
    """Returns what is wrong with the file, or "" if it is whole or absent. Whether it is whole may
    depend on the file FILE-wal beside it, which is read as well. Raises StorageError if the system
    does not let it be read, which is no damage."""
    return cut_short(file) or _unreadable(file)


def proof(error: BaseException) -> str:
    """Returns the message in which SQLite says itself that the file is damaged, or ""."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return _printable(str(error)) if code in _PROOF else ""


def cut_short(file: Path) -> str:
    """Returns what the file's size and its first bytes show at once, or "". An empty file is a new
    database: SQLite leaves one when it is killed at its first opening. Raises StorageError, as
    `found`."""
    try:
        return _cut_short(file)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StorageError(
            f"database {file} cannot be read: {error.strerror}; mend that, and try again; only if "
            "its disk has lost it, `modelwave restore --force FILE` puts a backup in its place"
        ) from error


def _cut_short(file: Path) -> str:
    mode = file.stat().st_mode
    if stat.S_ISDIR(mode):
        return "it is a folder"
    if not stat.S_ISREG(mode):
        return "it is not a regular file"
    log = _size_beside(file, "-wal")  # read first: another process may be making the database now
    size, told = _sizes(file)
    if size == 0:
        return "it is empty, but has changes in its -wal file" if log else ""
    # A power cut may have left the first page half written: SQLite undoes that by FILE-journal, or
    # reads the page from FILE-wal.
    if _size_beside(file, "-journal") or (told is None and log):
        return ""
    if told is None:
        return NO_DATABASE
    # Another process may be writing the newest pages from the -wal file; then that file is there.
    if size < told and not _size_beside(file, "-wal") and _sizes(file)[0] < told:
        return f"it is cut short: {size:,} of {told:,} bytes are left"
    return ""


def _sizes(file: Path) -> tuple[int, int | None]:
    """Returns the file's size in bytes and the one that its header says; None: it has no header."""
    with file.open("rb") as opened:
        header = opened.read(_HEADER_BYTES)
        size = opened.seek(0, 2)
    if len(header) < _HEADER_BYTES or not header.startswith(HEADER):
        return size, None
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    return size, (65536 if page == 1 else page) * pages


def _size_beside(file: Path, end: str) -> int:
    try:
        return file.with_name(file.name + end).stat().st_size
    except FileNotFoundError:
        return 0


def _unreadable(file: Path) -> str:
    if not file.exists() or not file.stat().st_size:
        return ""
    try:
        connection = sqlite3.connect(file.absolute().as_uri() + "?mode=ro", uri=True)
    except sqlite3.Error:
        return ""
    connection.text_factory = bytes
    try:
        return _first_problem(connection)
    except (sqlite3.Error, ValueError) as error:  # ValueError: a message that is not UTF-8
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        proven = code in (*_PROOF, sqlite3.SQLITE_ERROR)
        return _printable(str(error)) if proven else ""
    finally:
        connection.close()


def _first_problem(connection: sqlite3.Connection) -> str:
    for (line,) in connection.execute("PRAGMA quick_check(1)"):
        if line != b"ok":
            return _printable(line.decode(errors="replace"))
    made = {name.decode(): kind for name, kind in connection.execute(_MADE)}
    if b"trigger" in made.values():
        return "it has a trigger, which modelwave has not made"
    there = {name for name, kind in made.items() if kind == b"table"}
    is_newest = _is_newest(connection, there)
    lost = [table.name for table in metadata.sorted_tables if table.name not in there]
    if lost and is_newest:
        return f"it has no table {lost[0]}"
    tables = [table for table in metadata.sorted_tables if table.name in there]
    wrong = next((problem for table in tables if (problem := _wrong_value(connection, table))), "")
    return wrong or (_lost_row(connection) if is_newest else "")


def _is_newest(connection: sqlite3.Connection, tables: set[str]) -> bool:
    """Returns whether the schema says that it has all tables of this program."""
    if "alembic_version" not in tables:
        return False
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return rows == [(NEWEST.encode(),)]


def _lost_row(connection: sqlite3.Connection) -> str:
    """Returns which row is missing that each database has from the beginning, or ""."""
    for table in _ONE_ROW:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        if number != 1:
            return f"the table {table} has {number} rows instead of one"
    heads = dict(connection.execute("SELECT name, value FROM heads"))
    if lost := [name for name in _HEADS if name not in heads]:
        return f"the table heads has no row {lost[0].decode()}"
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()
    return "heads.event is below the newest event" if heads[b"event"] < newest else ""


def _wrong_value(connection: sqlite3.Connection, table: Table) -> str:
    """Returns the table's first value that modelwave has not written, or ""."""
    columns = [row[1].decode() for row in connection.execute(f"PRAGMA table_info({table.name})")]
    known = [column for column in table.columns if column.name in columns]
    for column in known:
        allowed = _TYPES[type(column.type)] + (("null",) if column.nullable else ())
        types = ", ".join(f"'{name}'" for name in allowed)
        row_of = f"SELECT {_row(table)} FROM {table.name} WHERE"
        wrong = f"typeof({column.name}) NOT IN ({types})"
        for (row,) in connection.execute(f"{row_of} {wrong} LIMIT 1"):
            return f"{table.name}.{column.name} has a value of a wrong type in row {_told(row)}"
        if largest := _LARGEST.get(type(column.type)):
            beyond = f"{column.name} NOT BETWEEN -{largest} AND {largest}"
            for (row,) in connection.execute(f"{row_of} {beyond} LIMIT 1"):
                return f"{table.name}.{column.name} has no possible number in row {_told(row)}"
        if isinstance(column.type, Text) and (problem := _wrong_text(connection, table, column)):
            return problem
    return ""


def _wrong_text(connection: sqlite3.Connection, table: Table, column: Column[Any]) -> str:
    check = _JSON.get((table.name, column.name))
    query = f"SELECT {_row(table)}, {column.name} FROM {table.name} WHERE {column.name} IS NOT NULL"
    for row, value in connection.execute(query):
        try:
            text = value.decode()
            if check and text and not check(json.loads(text)):
                raise ValueError("other JSON than modelwave writes")
        except (ValueError, TypeError, RecursionError):
            what = "the JSON that it should be" if check else "UTF-8"
            return f"{table.name}.{column.name} is not {what} in row {_told(row)}"
    return ""


def _row(table: Table) -> str:
    """Returns what names a row of the table: its number, or for one without, its first column."""
    numbered = table.dialect_options["sqlite"]["with_rowid"]
    return "rowid" if numbered else next(iter(table.primary_key)).name


def _told(row: object) -> str:
    return _printable(row.decode(errors="replace")) if isinstance(row, bytes) else str(row)


def _printable(text: str) -> str:
    """Returns a message of SQLite, which may have bytes of the damaged file in it."""
    line = " ".join(text.split())
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in line[:120])
