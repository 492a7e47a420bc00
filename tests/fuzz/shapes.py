"""Changes of inputs that keep their shape, for targets whose bytes alone rarely stay valid. The
everyday test draws the same changes by hypothesis."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

JSON, QUOTED = "json", "quoted"
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


def changed(value: Any, draw: Random) -> Any:
    """Returns a JSON value in which one to three places are others."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = list(_places(value))
        holder, key = draw.choice(places) if places else (None, None)
        if holder is None:
            return draw.choice(ODD)
        _change(holder, key, places, draw)
    return value


def _places(value: Any) -> Any:
    """Yields (object or list, key) of each value in it."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = list(value)
    elif isinstance(value, list):
        entries = range(len(value))
    for key in entries:
        yield value, key
        yield from _places(value[key])


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
        holder[draw.choice((*holder, "extra", "v", "a", "é"))] = draw.choice(ODD)
    elif kind == 4 and isinstance(old, list) and old:
        holder[key] = old * draw.choice((2, 9, 17))
    else:
        holder[key] = draw.choice(ODD)


def _json(data: bytes, longest: int, draw: Random) -> bytes | None:
    try:
        value = changed(json.loads(data), draw)
        separators = draw.choice(((",", ":"), (", ", ": ")))
        found = json.dumps(value, separators=separators, ensure_ascii=draw.random() < 0.9)
        made = found.encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None
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


# {shape: changes the bytes and keeps their shape, or returns None}
SHAPES: dict[str, Callable[[bytes, int, Random], bytes | None]] = {
    JSON: _json,
    QUOTED: _quoted,
}
