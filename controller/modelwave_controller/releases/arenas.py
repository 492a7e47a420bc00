"""Draws the arena of a stored model for a board, in a process of its own: the file came from
elsewhere, and the service goes on meanwhile. A file and a board say the same for ever, so the
newest pictures are kept in memory.
"""

import logging
import subprocess
import sys
import threading
from collections import OrderedDict
from importlib.resources import files
from pathlib import Path

from modelwave_controller.releases.confinement import confined
from modelwave_controller.releases.printed import last_line

SECONDS = 20  # that a picture may take
MAX_MODEL_BYTES = 32 << 20  # more is on no board
MAX_PICTURE_BYTES = 90_000  # of a page
KEPT = 32

_COMMAND = (sys.executable, "-m", "modelwave_controller.models.drawn")
_MAX_REASON = 300  # characters

Key = tuple[str, str]  # the model's sha256, and the profile of the board's kernels
Picture = tuple[str, str]  # the SVG, or why there is none

BEING_DRAWN: Picture = "", "it is being drawn: look again in a moment"

logger = logging.getLogger(__name__)


class Arenas:
    """Threads may share it: one picture is drawn at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Picture] = OrderedDict()  # that asked for longest ago first
        self._drawing: tuple[Key, threading.Thread] | None = None
        self._lock = threading.Lock()

    def picture(self, model: Path, profile: str, name: str, wait: bool) -> Picture:
        """Returns the picture of a model that is stored under its sha256. `name` is for its title.
        If it is not there yet it is drawn: `wait` for that, or else return that it is."""
        key = (model.name, profile)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            if self._drawing is None:
                thread = threading.Thread(target=self._draw, args=(key, model, name))
                self._drawing = key, thread
                thread.start()
            of, thread = self._drawing
        if wait and of == key:
            thread.join()
        with self._lock:
            return self._kept.get(key, BEING_DRAWN)

    def _draw(self, key: Key, model: Path, name: str) -> None:
        found: Picture = "", "it could not be drawn: the service's log says why"
        try:
            found = _drawn(model, key[1], name)
        except Exception:  # such as bytes that are no text: others wait for their pictures
            logger.exception("the arena of %s was not drawn", model.name)
        with self._lock:
            self._kept[key] = found
            self._drawing = None
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def _drawn(model: Path, profile: str, name: str) -> Picture:
    if not model.exists():
        return "", "the model's file is not in this home"
    if model.stat().st_size > MAX_MODEL_BYTES:
        return "", f"the model has more than {MAX_MODEL_BYTES >> 20} MiB"
    package = Path(str(files("modelwave_controller")))
    command = [*_COMMAND, str(model), profile, name]
    try:
        with confined(command, [model, package]) as (confined_command, env):
            done = subprocess.run(
                confined_command,
                capture_output=True,
                timeout=SECONDS,
                stdin=subprocess.DEVNULL,
                env=env,
            )
    except subprocess.TimeoutExpired:
        return "", f"it was not drawn in {SECONDS} s"
    if done.returncode:
        return "", last_line(done.stderr, _MAX_REASON) or f"it ended with code {done.returncode}"
    if len(done.stdout) > MAX_PICTURE_BYTES:
        return "", "it is too large for a page: `modelwave model inspect --plot FILE.svg` draws it"
    return done.stdout.decode(), ""
