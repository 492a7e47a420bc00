"""Changes of inputs that keep their shape, for targets whose bytes alone rarely stay valid. The
everyday test draws the same changes by hypothesis."""

import io
import json
import lzma
import re
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

JSON, QUOTED, TOML = "json", "quoted", "toml"
TOKENS, LINES, FRAMES, ZIP = "tokens", "lines of json", "frames", "zip"
# What stands in a document where something else should: bounds, wrong types, texts that programs
# stumble over.
ODD = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        255,
        256,
        999,
        1000,
        2**31 - 1,
        2**31,
        2**53 - 1,
        2**53,
        10**17,
    ),
    *(1.0, 0.5, -0.0, 1e300, float("inf"), float("nan"), "", "a", "a" * 63, "a" * 64, "a" * 201),
    *(
        "A",
        "-a",
        "device",
        "é",
        "\u2028",
        "\\",
        '"',
        "\0",
        "\x7f",
        "²",
        "𝟙",
        "1e3",
        "0x1",
        "ab" * 32,
    ),
    *(
        "\ud800",
        "any",
        "tflite>=2.14",
        "http://h/",
        "http://[",
        "1 " + "ab" * 8 + " 5 " + "cd" * 32,
    ),
    *(
        [],
        {},
        [[]],
        [0, 0],
        [1, 0],
        {"a": 1},
        {"a": {"b": {"c": 1}}},
        [None],
        {"": ""},
        list(range(17)),
    ),
)


_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=aaaAAA000_-.\\{}:,"


_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*"|[\[\]{},:])')
_NEARLY = (
    *(b"-0", b"01", b"1.0", b"1e3", b"NaN", b"-", b"9" * 16, b"9" * 17, b"nul", b"true", b"null"),
    *(b'"a"', b'"a":1', b',"a":1', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u00e9"', b'"\\x"'),
    *(b"[", b"]", b"{", b"}", b",", b":", b" ", b"\t", b"\n", b"\x7f", "é".encode(), b'"[{"'),
    *(b"[[[[[[", b"]]]]]]", b"[]", b"{}", b'["[",[[[[]]]]]'),
)


def changed(value: Any, draw: Random) -> Any:
    """Returns a JSON value in which one to three places are others."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = _places(value)
        holder, key = draw.choice(places) if places else (None, None)
        if holder is None:
            return _odd(draw)
        _change(holder, key, places, draw)
    return value


def _places(value: Any) -> list[Any]:
    """Returns (object or list, key) of each value in it."""
    found: list[Any] = []
    holders = [value]
    for holder in holders:
        if isinstance(holder, dict):
            keys: Any = list(holder)
        elif isinstance(holder, list):
            keys = range(len(holder))
        else:
            continue
        found += [(holder, key) for key in keys]
        holders += [holder[key] for key in keys]
    return found


def _change(holder: Any, key: Any, places: list[Any], draw: Random) -> None:
    kind = draw.randrange(6)
    old = holder[key]
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(old, int) and not isinstance(old, bool):
        holder[key] = old + draw.choice((-1, 1, 2**16, -(2**16), old))
    elif kind == 2:  # what stands elsewhere
        other, at = draw.choice(places)
        if at in other if isinstance(other, dict) else at < len(other):
            holder[key] = json.loads(json.dumps(other[at]))
    elif kind == 3 and isinstance(holder, dict):
        holder[draw.choice((*holder, "extra", "v", "a", "é"))] = _odd(draw)
    elif kind == 4 and isinstance(old, list) and old:
        holder[key] = old * draw.choice((2, 9, 17))
    else:
        holder[key] = _odd(draw)


def _odd(draw: Random) -> Any:
    """Returns one of ODD, as the caller's own: it may be changed further."""
    return deepcopy(draw.choice(ODD))


def _json(data: bytes, longest: int, draw: Random) -> bytes | None:
    try:
        value = changed(json.loads(data), draw)
        separators = draw.choice(((",", ":"), (", ", ": ")))
        found = json.dumps(value, separators=separators, ensure_ascii=draw.random() < 0.9)
        made = found.encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None
    return made if len(made) <= longest else None


def _tokens(data: bytes, longest: int, draw: Random) -> bytes | None:
    """Doubles an entry of an object, puts something in place of a value that is nearly one, or
    doubles, drops and adds tokens anywhere."""
    parts = [part for part in _TOKEN.split(data) if part]
    colons = [at for at, part in enumerate(parts[:-1]) if part == b":" and at]
    at = draw.randrange(len(parts) + 1)
    end = min(len(parts), at + draw.randrange(1, 6))
    kind = draw.randrange(6)
    if kind < 2 and colons:
        at = draw.choice(colons)
        if kind:
            parts[at + 1] = draw.choice(_NEARLY)
        elif parts[at + 1].strip() not in (b"{", b"["):
            parts[at - 1 : at - 1] = [*parts[at - 1 : at + 2], b","]
    elif kind == 2:
        parts[end:end] = parts[at:end]
    elif kind == 3:
        parts[at:end] = []
    else:
        parts[at : at + kind - 4] = [draw.choice(_NEARLY)]
    made = b"".join(parts)
    return made if len(made) <= longest else None


def _quoted(data: bytes, longest: int, draw: Random) -> bytes | None:
    """Changes what stands between two quotation marks, mostly so that base64 stays base64."""
    parts = data.split(b'"')
    at = draw.randrange(len(parts))
    part = parts[at]
    place = draw.randrange(len(part) + 1) // 4 * 4
    kind = draw.randrange(6)
    if kind == 0:
        parts[at] = draw.choice(parts)
    elif kind == 1:
        parts[at : at + 1] = parts[max(0, at - 5) : at + draw.randrange(6)]
    elif kind == 2:
        parts[at] = part[:place] + part[place + 4 :]
    elif kind == 3:
        parts[at] = part[:place] + bytes(draw.choices(_LETTERS, k=4)) + part[place:]
    else:
        end = place + draw.randrange(1, 4)
        parts[at] = part[:place] + bytes(draw.choices(_LETTERS, k=end - place)) + part[end:]
    made = b'"'.join(parts)
    return made if len(made) <= longest else None


def _toml(data: bytes, longest: int, draw: Random) -> bytes | None:
    try:
        value = changed(tomllib.loads(data.decode()), draw)
        if not isinstance(value, dict):
            return None
        made = "".join(f"{_key(key)} = {_inline(one)}\n" for key, one in value.items()).encode()
    except (ValueError, TypeError, RecursionError):  # no TOML, or what TOML has no word for
        return None
    return made if len(made) <= longest else None


def _key(text: str) -> str:
    return json.dumps(text)


def _inline(value: Any) -> str:
    """Returns a value as TOML has it on one line."""
    if isinstance(value, dict):
        entries = ", ".join(f"{_key(key)} = {_inline(one)}" for key, one in value.items())
        return f"{{{entries}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, float):
        return repr(value)
    if value is None or isinstance(value, str | bool | int):
        return json.dumps("" if value is None else value)
    return str(value)  # a date or a time


def _last_line(data: bytes, longest: int, draw: Random) -> bytes | None:
    """Changes one of the lines of JSON, mostly the last one."""
    lines = data.split(b"\n")
    at = draw.choice((-1, -1, draw.randrange(len(lines))))
    made = _json(lines[at], longest, draw)
    if made is None:
        return None
    lines[at] = made
    return b"\n".join(lines)[:longest]


def _frames(data: bytes, longest: int, draw: Random) -> bytes | None:
    """Changes a frame of a line, and puts its checksum right."""
    from modelwave_shared import line_frames  # child.py follows the product from later on

    pieces = data.split(b"\0")
    at = draw.randrange(len(pieces))
    found = line_frames.unpack(pieces[at])
    if found is None:
        return None
    kind, tag, seq, ack, payload = found
    part = draw.randrange(4)
    if part == 0:
        kind = draw.randrange(256)
    elif part == 1:
        seq, ack = draw.randrange(256), draw.randrange(256)
    else:
        place = draw.randrange(len(payload) + 1)
        some = bytes(draw.choices(b"\0\1\2abc-_\xff", k=draw.randrange(5)))
        payload = payload[:place] + some + payload[place + draw.randrange(4) :]
    if len(payload) > line_frames.MAX_PAYLOAD_BYTES:
        return None
    pieces[at] = line_frames.pack(kind, tag, seq, ack, payload)[1:-1]
    return b"\0".join(pieces)[:longest]


# What zipfile and the readers of its methods raise.
_BAD_ZIP = (
    *(ValueError, LookupError, RuntimeError, EOFError, OSError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def _zip(data: bytes, longest: int, draw: Random) -> bytes | None:
    """Changes some bytes of a member of a zip, or its name, and puts its checksum right."""
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            members = [(info.filename, old.read(info)) for info in old.infolist()]
            at = draw.randrange(len(members))
            name, contents = members[at]
            members[at] = (
                draw.choice((name, name, name, "labels/y.npy", "x.npy", "golden.json")),
                _changed_array(contents, draw),
            )
            for name, contents in dict(members).items():
                new.writestr(zipfile.ZipInfo(name), contents)
    except _BAD_ZIP:
        return None
    made = out.getvalue()
    return made if len(made) <= longest else None


def _changed_array(contents: bytes, draw: Random) -> bytes:
    if draw.random() < 0.4:
        words = ((b"False", b"True"), (b"<f4", b"<f8"), (b"|u1", b"|S1"), (b"(2, 3)", b"(3, 2)"))
        made = contents.replace(*draw.choice(words))
        return made.replace(
            b"\n", b" " * (len(contents) - len(made)) + b"\n", 1
        )  # its head ends so
    place = draw.randrange(len(contents) + 1)
    some = bytes(draw.choices(b"\0\1<>|fiuS12(),: ab'{}", k=draw.randrange(4)))
    return contents[:place] + some + contents[place + draw.randrange(4) :]


# {shape: changes the bytes and keeps their shape, or returns None}
SHAPES: dict[str, Callable[[bytes, int, Random], bytes | None]] = {
    JSON: _json,
    QUOTED: _quoted,
    TOKENS: _tokens,
    TOML: _toml,
    LINES: _last_line,
    FRAMES: _frames,
    ZIP: _zip,
}
