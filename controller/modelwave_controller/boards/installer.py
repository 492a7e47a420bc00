"""Lets a board install the agent over a network that nobody needs to trust.

The service serves the files and `install.py`, which holds the sha256 of each. A board gets the
sha256 of install.py from its operator, in one line that is typed at its prompt or goes there over
the cable (mpremote exec): what a server sends instead is neither executed nor kept. MicroPython's
own mip checks nothing, so its lists are not served.
"""

import json
from collections.abc import Iterable, Mapping

from modelwave_controller.boards import package
from modelwave_controller.boards.package import INDEX, INDEXES, Files
from modelwave_shared import digests

PREFIX = "/board"  # of the URLs
INSTALLER = "install.py"
TARGET = "/lib"  # from which boards import

_PROGRAM = """\
# Installs modelwave's agent on this board; the files are checked by the sha256 of each.
import hashlib
import os

import requests

LISTS = {lists}
SHA256 = {sha256}


def install(base, parts, target):
    for part in ["{index}"] + [part + ".json" for part in parts]:
        for path in LISTS[part]:
            answer = requests.get(base + "/" + path)
            data = answer.content
            answer.close()
            if hashlib.sha256(data).digest() != bytes.fromhex(SHA256[path]):
                raise ValueError("%s: not the file that was built: nothing of it is kept" % path)
            place = target
            for folder in path.split("/")[:-1]:
                _make(place)
                place += "/" + folder
            _make(place)
            with open(target + "/" + path, "wb") as file:
                file.write(data)
    print("the agent is installed in", target)


def _make(folder):
    try:
        os.mkdir(folder)
    except OSError as error:
        if error.args[0] != 17:  # it is there
            raise
"""


def program(files: Files) -> bytes:
    """Returns install.py for the files of package.build."""
    lists = {index: sorted(package.installed(files, index)) for index in INDEXES if index in files}
    named = sorted({path for paths in lists.values() for path in paths})
    sha256 = {path: digests.hexdigest(files[path]) for path in named}
    return _PROGRAM.format(lists=_shown(lists), sha256=_shown(sha256), index=INDEX).encode()


def line(files: Files, base: str, parts: Iterable[str] = (), target: str = TARGET) -> str:
    """Returns the line for a board's prompt; `base` is the URL of the service's /board, `target`
    the board's folder."""
    sha256 = digests.hexdigest(program(files))
    return (
        "import hashlib, requests; "
        f"code = requests.get({base + '/' + INSTALLER!r}).content; "
        f'exec(code if hashlib.sha256(code).digest().hex() == "{sha256}" else '
        "\"raise ValueError('not the installer of this line')\"); "
        f"install({base!r}, {list(parts)!r}, {target!r})"
    )


def _shown(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=1, sort_keys=True)
