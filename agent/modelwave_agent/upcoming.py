"""The release that an order brings, about which the program is asked before its work.

A module of its own, because a board needs it only during an update.
"""


class Upcoming:
    def __init__(self, model: str, release: int, version: str) -> None:
        self.model = model
        self.release = release
        self.version = version
