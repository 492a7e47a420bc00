"""Which topics were heard over one connection, until those that the broker kept back are known.

The network thread calls `note`, the service's thread the rest."""

from collections.abc import Sequence


class Heard:
    """`kept_back` counts the retained messages that came only when their topics were asked for."""

    def __init__(self) -> None:
        self.kept_back = 0
        self.is_over = False
        self.is_asking = False
        self._topics: set[str] = set()
        self._asked: frozenset[str] = frozenset()

    def note(self, topic: str, is_retained: bool) -> None:
        if self.is_over or topic in self._topics:
            return
        self._topics.add(topic)
        if is_retained and topic in self._asked:
            self.kept_back += 1

    def __contains__(self, topic: str) -> bool:
        return topic in self._topics

    def ask(self, topics: Sequence[str]) -> None:
        """Notes that these topics are asked for, until `answered`."""
        self._asked = frozenset(topics)
        self.is_asking = True

    def answered(self) -> None:
        self.is_asking = False

    def end(self) -> None:
        """Forgets the topics: nothing more is to be compared."""
        self.is_over = True
        self._topics = set()
