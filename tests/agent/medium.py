"""Simulates a medium at a power cut: restores what a folder would hold after it.

While the power is on, the folder is an ordinary one. Data that was synced with os.fsync is
remembered, and a cut undoes everything else: data that was only written, files that were never
synced, and, if `keeps_removals` is false, removals (a directory that was not synced may still have
the file's name).
"""

import contextlib
import os
from unittest import mock


class Medium:
    def __init__(self, folder, keeps_removals=True):
        self.folder = os.path.realpath(folder)
        self.keeps_removals = keeps_removals
        self.synced = {}  # name: the bytes that are on the medium
        self.removed = set()  # names that were removed since they were synced

    @contextlib.contextmanager
    def powered(self):
        """The power is on inside, and is cut at the end."""
        remove = os.remove

        def removed(path):
            remove(path)
            self.removed.add(os.path.basename(path))

        with mock.patch("os.fsync", self._sync), mock.patch("os.remove", removed):
            try:
                yield
            finally:
                self._forget(remove)

    def tear(self, path):
        """What was written to a file so far has reached the medium without being synced."""
        name = os.path.basename(path)
        with open(path, "rb") as file:
            self.synced[name] = file.read()
        self.removed.discard(name)

    def copy_to(self, folder):
        """Writes the files that are on the medium into another folder."""
        for name, data in self.synced.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)

    def _sync(self, descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if os.path.dirname(path) == self.folder:
            self.tear(path)

    def _forget(self, remove):
        if self.keeps_removals:
            for name in self.removed:
                self.synced.pop(name, None)
        self.removed.clear()
        for name in os.listdir(self.folder):
            if name not in self.synced and os.path.isfile(os.path.join(self.folder, name)):
                remove(os.path.join(self.folder, name))
        self.copy_to(self.folder)
